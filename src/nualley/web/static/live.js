// Whether data are live is decided here, by this page's own timer: it must show also when the server dies.

import { duration } from "./times.js";

const SILENCE_MS = 3000;
const GIVE_UP_MS = 15000; // a stream without any event for so long is opened anew
const ALONE_MS = 2500; // the server speaks every second: without a word for so long it is gone

const dot = document.getElementById("live");
const word = document.getElementById("live-word");
const banner = document.getElementById("not-live");
const why = document.getElementById("not-live-why");
const age = document.getElementById("not-live-age");
const title = document.title;

let lastLive = performance.now(); // a page that was just opened may take a moment
let lastWord = performance.now();
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
  document.title = isLive ? title : `NOT LIVE · ${title}`;
  if (isLive) return;
  const reason = now - lastWord > ALONE_MS
    ? "This page's server does not answer: nualley up web."
    : "The archive process says nothing: nualley up archive.";
  if (wasLive || why.textContent !== reason) why.textContent = reason;
  age.textContent = isProven ? `${duration(now - lastLive)} ago` : "when this page was opened or before";
  if (now - lastWord > GIVE_UP_MS) reopen();
}

function reopen() {
  lastWord = performance.now();
  const old = document.getElementById("stream");
  const fresh = old.cloneNode(false);
  fresh.removeAttribute("data-htmx-powered");
  htmx.swap({ text: fresh.outerHTML, target: old, sourceElement: old, swap: "outerHTML" });
}
