// A picture with points on it, which the pointer or the arrow keys move. A place is a fraction of the picture's size.
const STEP = 0.01; // of an arrow key
const MILLISECONDS = 600; // of the way on which a point is carried
const KEYS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

function render({ model, el }) {
  const frame = document.createElement("div");
  const picture = document.createElement("img");
  frame.className = "lix-touch";
  picture.draggable = false;
  frame.append(picture);
  el.append(frame);
  const names = model.get("names");
  const places = [];
  let held = null; // the point under the pointer
  let waiting = null; // what Python has been asked and has not answered
  let next = null; // the newest of what happened meanwhile
  let count = model.get("answered"); // of what has been asked

  const put = (which, [x, y]) => {
    places[which] = [x, y];
    rings[which].style.left = `${100 * x}%`;
    rings[which].style.top = `${100 * y}%`;
  };
  const send = (which, phase, [x, y]) => {
    put(which, [x, y]);
    next = { which, phase, x, y };
    ask();
  };
  const ask = () => {
    frame.toggleAttribute("data-busy", Boolean(next || waiting));
    if (waiting || !next) return;
    count = Math.max(count, model.get("answered")) + 1; // a second view of the widget counts, too
    waiting = { ...next, count };
    next = null;
    model.set("touched", waiting);
    model.save_changes();
  };
  const carry = (way) => {
    const asked = count;
    let start = null;
    frame.toggleAttribute("data-busy", true);
    const move = (now) => {
      start ??= now; // of the first frame, which may have begun before this call
      if (count !== asked) return; // the reader has touched it again
      const share = Math.min(1, (now - start) / MILLISECONDS);
      put(0, way[Math.round(share * (way.length - 1))]);
      if (share < 1) requestAnimationFrame(move);
      else send(0, "carried", way.at(-1));
    };
    requestAnimationFrame(move);
  };
  const under = (event) => {
    const box = picture.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const nearest = ([x, y]) => {
    const { width, height } = picture.getBoundingClientRect();
    const far = places.map((place) => Math.hypot((place[0] - x) * width, (place[1] - y) * height));
    return far.indexOf(Math.min(...far));
  };

  const rings = names.map((name, which) => {
    const ring = document.createElement("div");
    ring.className = "lix-touch-point";
    ring.tabIndex = 0;
    ring.setAttribute("role", "button");
    ring.setAttribute("aria-label", `${name}: move it with the arrow keys`);
    ring.title = name;
    ring.addEventListener("keydown", (event) => {
      if (!(event.key in KEYS)) return;
      event.preventDefault();
      event.stopPropagation();
      const [right, down] = KEYS[event.key];
      send(which, "up", [places[which][0] + right, places[which][1] + down]);
    });
    frame.append(ring);
    return ring;
  });
  frame.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    frame.setPointerCapture(event.pointerId);
    held = nearest(under(event));
    rings[held].focus({ preventScroll: true });
    send(held, "down", under(event));
  });
  frame.addEventListener("pointermove", (event) => {
    if (held !== null) send(held, "move", under(event));
  });
  for (const end of ["pointerup", "pointercancel"])
    frame.addEventListener(end, (event) => {
      if (held === null) return;
      const which = held;
      held = null;
      send(which, "up", under(event));
    });

  const draw = () => {
    picture.src = model.get("picture");
    picture.alt = model.get("alt");
    model.get("places").forEach((place, which) => which !== held && !next && put(which, place));
  };
  model.on("change:picture change:places", draw);
  model.on("change:answered", () => {
    if (model.get("answered") !== waiting?.count) return;
    const { phase } = waiting;
    waiting = null;
    draw();
    ask();
    if (phase === "up" && held === null && !next && model.get("way").length > 1) carry(model.get("way"));
  });
  draw();
}

export default { render };
