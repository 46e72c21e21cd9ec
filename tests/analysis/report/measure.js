// What a reader of a page would see: measured in frames of the widths asked for.
"use strict";

const MOST_OFF = 1;

function luminance(colour) {
  const parts = colour.map((part) => part / 255);
  const linear = parts.map((part) =>
    part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

function channels(text) {
  const found = text.match(/[\d.]+/g).map(Number);
  return found.length === 4 && found[3] === 0 ? null : found.slice(0, 3);
}

function ground(element, view) {
  for (let at = element; at; at = at.parentElement) {
    const colour = channels(view.getComputedStyle(at).backgroundColor);
    if (colour) return colour;
  }
  return [255, 255, 255];
}

function contrast(one, other) {
  const [darker, lighter] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

function name(element) {
  const words = (element.textContent || "").trim().slice(0, 40);
  return `${element.tagName} ${element.className.baseVal ?? element.className} ${words}`;
}

function shown(element) {
  return element.getClientRects().length > 0;
}

function texts(doc) {
  return [...doc.body.querySelectorAll("*")].filter((element) =>
    shown(element) && [...element.childNodes].some((node) =>
      node.nodeType === Node.TEXT_NODE && node.textContent.trim()));
}

// Labels that lie on each other; those that are turned have boxes that say nothing.
function overlapping(figure) {
  const level = [...figure.querySelectorAll("text")].filter((text) =>
    !/rotate\(-?[1-9]/.test(text.getAttribute("transform") || ""));
  const boxes = level.map((text) => text.getBoundingClientRect());
  const found = [];
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b, j) => {
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 1 && high > 3) {
      found.push(`${name(level[i])} on ${name(level[i + 1 + j])}`);
    }
  }));
  return found;
}

function measure(frame, width) {
  const doc = frame.contentDocument, view = frame.contentWindow;
  for (const each of doc.querySelectorAll("details")) each.open = true;
  const all = [...doc.body.querySelectorAll("*")].filter(shown);
  const wide = all.filter((element) => {
    const box = element.getBoundingClientRect();
    return box.right > width + MOST_OFF || box.left < -MOST_OFF;
  });
  const scrolling = all.filter((element) =>
    element.scrollWidth > element.clientWidth + MOST_OFF && element.clientWidth > 0
    && view.getComputedStyle(element).overflowX !== "visible"
    && view.getComputedStyle(element).position !== "absolute");
  const faint = texts(doc).filter((element) => {
    const style = view.getComputedStyle(element);
    const ink = element.ownerSVGElement ? style.fill : style.color;
    return contrast(channels(ink), ground(element, view)) < 4.5;
  });
  const cut = [...doc.querySelectorAll("svg text")].filter((text) => {
    const box = text.getBoundingClientRect();
    const figure = text.ownerSVGElement.getBoundingClientRect();
    return box.right > figure.right + MOST_OFF || box.left < figure.left - MOST_OFF
      || box.bottom > figure.bottom + MOST_OFF || box.top < figure.top - MOST_OFF;
  });
  const over = [...doc.querySelectorAll("svg")].flatMap(overlapping);
  const figures = [...doc.querySelectorAll("svg")];
  const cells = [...doc.querySelectorAll("td")];
  return {
    page: doc.documentElement.scrollWidth,
    dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
    wide: wide.map(name), scrolling: scrolling.map(name),
    faint: faint.map(name), cut: cut.map(name), over,
    figures: figures.length,
    nameless: figures.filter((figure) => !figure.computedName
      || !["img", "image"].includes(figure.computedRole)).map(name),
    folded: cells.length > 0 && cells.every((cell) =>
      view.getComputedStyle(cell).display === "flex"
      && view.getComputedStyle(cell, "::before").content === `"${cell.dataset.label}"`
      || view.getComputedStyle(cell).display === "none"),
  };
}

window.addEventListener("load", () => {
  const told = {};
  for (const frame of document.querySelectorAll("iframe")) {
    told[frame.title] = measure(frame, frame.clientWidth);
  }
  document.getElementById("told").textContent = JSON.stringify(told);
});
