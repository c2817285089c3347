// Two views of one Touch without a browser: events and frames come when the test says so, Python answers at once.
import { readFileSync } from "node:fs";

const source = readFileSync(process.argv[2], "utf8");
const { default: widget } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const frames = [];
globalThis.requestAnimationFrame = (frame) => frames.push(frame);
const draw = (now) => frames.splice(0).forEach((frame) => frame(now));

class Element {
  constructor() {
    Object.assign(this, { style: {}, children: [], listeners: {} });
  }
  append(child) {
    this.children.push(child);
  }
  addEventListener(name, listener) {
    this.listeners[name] = listener;
  }
  getBoundingClientRect() {
    return { left: 0, top: 0, width: 100, height: 100 };
  }
  setAttribute() {}
  toggleAttribute() {}
  setPointerCapture() {}
  focus() {}
}
globalThis.document = { createElement: () => new Element() };

const state = { names: ["a"], places: [[0, 0]], way: [[0, 0], [1, 1]], answered: 0, alt: "", picture: "" };
const asked = [];
const listeners = [];
const model = {
  get: (name) => state[name],
  set: (name, value) => (state[name] = value),
  on: (names, listener) => listeners.push([names, listener]),
  save_changes() {
    asked.push({ ...state.touched });
    answer();
  },
};
const answer = () => {
  const { count, x, y } = state.touched;
  const changed = state.answered !== count;
  Object.assign(state, { places: [[x, y]], way: [[x, y], [1, 1]], answered: count });
  if (changed) listeners.forEach(([names, listener]) => names.includes("answered") && listener());
};
const view = () => {
  const el = new Element();
  widget.render({ model, el });
  const frame = el.children[0];
  const send = (name, x, y) =>
    frame.listeners[name]({ clientX: x, clientY: y, button: 0, pointerId: 1, preventDefault() {} });
  return {
    down: (x, y) => send("pointerdown", x, y),
    up: (x, y) => send("pointerup", x, y),
  };
};

const [one, other] = [view(), view()];
one.down(10, 10);
const before = asked.length;
other.down(60, 60);
other.up(60, 60);
const others = asked.length - before;
one.up(20, 20);
for (const now of [0, 300, 700, 1000]) draw(now);

const earlier = asked.length;
one.down(30, 30);
one.up(30, 30);
draw(2000);
draw(2300); // half way
one.down(40, 40);
one.up(40, 40); // before the next frame
for (const now of [2310, 2650, 3000, 3400]) draw(now);
const carried = asked.slice(earlier).filter(({ phase }) => phase === "carried").length;
console.log(JSON.stringify({ others, carried }));
