// Beam power of the last hour: read once a minute, carried on by what the stream says.

import { now_ms } from "./times.js";

const SPAN_S = 3600;
const RELOAD_MS = 60000;
const HEIGHT_PX = 190;

const place = document.getElementById("power-plot");
const note = document.getElementById("plot-note");
const steps = { time_s: [], power_MW: [] }; // each value holds to the next time; null: not known
let plot = null;

const unknown = (curve) => (curve.power_W.some((W) => W !== null) ? "" : "· not known");

async function load() {
  try {
    const answer = await fetch("/api/beam/power");
    const { curve, trouble } = await answer.json();
    note.textContent = curve ? unknown(curve) : `· ${trouble?.what ?? "nothing yet"}`;
    if (!curve) return;
    steps.time_s = curve.time_ns.map((ns) => ns / 1e9);
    steps.power_MW = curve.power_W.map((W) => (W === null ? null : W / 1e6));
    steps.last_s = curve.stop_ns / 1e9;
    draw();
  } catch {
    note.textContent = "· cannot be read now"; // the banner says why
  }
}

export function append(time_ns, power_W) {
  const time_s = time_ns / 1e9;
  if (time_s <= (steps.last_s ?? 0)) return;
  const power_MW = power_W === null ? null : power_W / 1e6;
  if (steps.power_MW.at(-1) !== power_MW) {
    steps.time_s.push(time_s);
    steps.power_MW.push(power_MW);
    if (power_MW !== null) note.textContent = "";
  }
  steps.last_s = time_s;
  draw();
}

// steps as corners of a line: what is not known stays a hole
function corners() {
  const [x, y] = [[], []];
  steps.time_s.forEach((time_s, index) => {
    const until_s = steps.time_s[index + 1] ?? steps.last_s;
    x.push(time_s, until_s);
    y.push(steps.power_MW[index], steps.power_MW[index]);
  });
  return [x, y];
}

function draw() {
  if (!plot) return;
  const stop_s = Math.max(steps.last_s ?? 0, now_ms() / 1000);
  plot.batch(() => {
    plot.setData(corners(), false);
    plot.setScale("x", { min: stop_s - SPAN_S, max: stop_s });
    const top = Math.max(0.1, ...steps.power_MW.filter((value) => value !== null));
    plot.setScale("y", { min: 0, max: top * 1.1 });
  });
}

function make() {
  plot?.destroy();
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  plot = new uPlot({
    width: Math.max(200, place.clientWidth),
    height: HEIGHT_PX,
    tzDate: (s) => uPlot.tzDate(new Date(s * 1000), "Etc/UTC"),
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    padding: [8, 8, 0, 0],
    axes: [
      { ...axis, size: 26, values: (_, times) => times.map((s) => new Date(s * 1000).toISOString().slice(11, 16)) },
      { ...axis, size: 46, values: (_, values) => values.map((value) => `${+value.toFixed(2)}`), label: "MW", labelSize: 16, labelFont: axis.font, labelGap: 0 },
    ],
    scales: { x: { auto: false }, y: { auto: false } },
    series: [{}, { stroke: colour("--blue"), width: 1.5, fill: colour("--blue-thin"), points: { show: false } }],
    hooks: { setCursor: [say] },
  }, [[], []], place);
  draw();
}

function say(drawn) {
  const index = drawn.cursor.idx;
  const [x, y] = drawn.data;
  if (index === null || index === undefined || x[index] === undefined) {
    note.textContent = "";
    return;
  }
  const value = y[index] === null ? "not known" : `${y[index].toFixed(3)} MW`;
  note.textContent = `· ${new Date(x[index] * 1000).toISOString().slice(11, 19)} UTC ${value}`;
}

export function start() {
  make();
  load();
  setInterval(load, RELOAD_MS);
  new ResizeObserver(() => {
    if (plot && plot.width !== place.clientWidth) plot.setSize({ width: Math.max(200, place.clientWidth), height: HEIGHT_PX });
  }).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", make);
}
