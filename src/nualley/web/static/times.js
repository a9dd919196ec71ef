// Clocks and ages: counted here, by the server's clock, so that they grow also when the server no longer says anything.

let offset_ms = 0; // server's clock minus this machine's

export function heard(serverTime_ns) {
  offset_ms = serverTime_ns / 1e6 - Date.now();
}

export function now_ms() {
  return Date.now() + offset_ms;
}

export function duration(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  const pairs = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
  const [size, unit, smaller, lower] = pairs.find(([size]) => s >= size);
  const rest = Math.floor((s % size) / smaller);
  return `${Math.floor(s / size)} ${unit}${rest && s < 30 * 86400 ? ` ${rest} ${lower}` : ""}`;
}

const siteClock = document.getElementById("clock-site");
const siteFormat = siteClock && new Intl.DateTimeFormat("en-GB", {
  timeZone: siteClock.dataset.zone, hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
});

export function writeClocks() {
  const now = new Date(now_ms());
  document.getElementById("clock-utc").textContent = now.toISOString().slice(0, 19).replace("T", " ");
  if (siteClock) siteClock.textContent = `${siteFormat.format(now)} ${siteClock.dataset.zone.replaceAll("_", " ")}`;
}

export function writeAges(root = document) {
  const now = now_ms();
  for (const time of root.querySelectorAll("time[data-age]")) {
    const age_ms = now - Date.parse(time.dateTime);
    const text = age_ms < -1500 ? `in ${duration(-age_ms)}` : `${duration(age_ms)} ${time.dataset.age}`.trim();
    if (time.textContent !== text) {
      time.textContent = text;
      time.title = time.dateTime.replace("T", " ").replace("Z", " UTC");
    }
  }
}
