// The status page: htmx swaps what the stream sends; this counts ages, watches over liveness and draws.

import { heardLive, heardSilence, show } from "./live.js";
import { append, start } from "./plot.js";
import { heard, writeAges, writeClocks } from "./times.js";
import { arrange } from "./values.js";

const version = document.querySelector('meta[name="nualley-version"]').content;

function take(event) {
  const news = JSON.parse(event.detail.data);
  if (news.version && news.version !== version) location.reload(); // the server was updated: so must be its page
  if (news.time_ns) heard(news.time_ns);
  return news;
}

document.body.addEventListener("live", (event) => {
  const news = take(event);
  heardLive();
  append(news.time_ns, news.power_W);
});
document.body.addEventListener("silence", (event) => {
  take(event);
  heardSilence();
});
document.body.addEventListener("htmx:after:swap", () => {
  writeAges();
  arrange();
});

setInterval(show, 250);
setInterval(() => {
  writeClocks();
  writeAges();
}, 1000);
writeClocks();
writeAges();
arrange();
start();
