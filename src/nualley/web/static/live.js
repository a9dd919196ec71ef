// Whether data are live is decided here, by this page's own timer: it must show also when the server dies.

import { duration } from "./times.js";

const SILENCE_MS = 3000;
const GIVE_UP_MS = 15000; // a stream without any event for so long is opened anew,
const RETRY_MS = 6000; // and again so often
const ALONE_MS = 2500; // the server speaks every second: without a word for so long it is gone

const dot = document.getElementById("live");
const word = document.getElementById("live-word");
const banner = document.getElementById("not-live");
const why = document.getElementById("not-live-why");
const what = document.getElementById("not-live-what");
const age = document.getElementById("not-live-age");
const title = document.title;

let lastLive = performance.now(); // a page that was just opened may take a moment
let lastWord = performance.now();
let lastTry = 0;
let isProven = false;

export function heardLive() {
  lastLive = lastWord = performance.now();
  isProven = true;
  show();
}

export function heardSilence() {
  lastWord = performance.now();
}

export function show() {
  const now = performance.now();
  const isLive = now - lastLive <= SILENCE_MS;
  const wasLive = banner.hidden;
  banner.hidden = isLive;
  document.body.classList.toggle("is-not-live", !isLive);
  dot.className = `live ${!isLive ? "is-dead" : isProven ? "is-live" : "is-waiting"}`;
  word.textContent = !isLive ? "NOT LIVE" : isProven ? "LIVE" : "connecting";
  if (isLive) document.body.classList.remove("is-alone");
  document.title = isLive ? title : `NOT LIVE · ${title}`;
  if (isLive) return;
  const isAlone = now - lastWord > ALONE_MS;
  document.body.classList.toggle("is-alone", isAlone);
  const reason = isAlone
    ? "The server of this page does not answer: nualley up web."
    : "The archive process says nothing: nualley up archive.";
  if (wasLive || why.textContent !== reason) why.textContent = reason;
  what.textContent = isAlone ? "All values" : "Beam, detectors and values";
  age.textContent = isProven ? `are as they were ${duration(now - lastLive)} ago` : "are not newer than this page";
  if (now - lastWord > GIVE_UP_MS && now - lastTry > RETRY_MS) {
    lastTry = now;
    reopen();
  }
}

function reopen() {
  const old = document.getElementById("stream");
  const fresh = old.cloneNode(false);
  fresh.removeAttribute("data-htmx-powered");
  htmx.swap({ text: fresh.outerHTML, target: old, sourceElement: old, swap: "outerHTML" });
}
