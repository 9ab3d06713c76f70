// What scrolls sideways can be reached with the keyboard; what opens a panel says what it is.
function mend() {
  for (const formula of document.querySelectorAll(".yue span.math")) {
    const drawn = formula.querySelector("mjx-container > svg");
    const room = formula.closest("p, li, dd, dt, td, div").clientWidth;
    formula.classList.toggle("wide", Boolean(drawn) && drawn.getBoundingClientRect().width > room);
  }
  for (const box of document.querySelectorAll(".yue pre, .yue .what, .yue div.math, .yue span.math.wide, .yue .table-wrapper, .sy-scrollbar")) {
    const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight + 1;
    if (scrolls && !box.hasAttribute("tabindex")) box.setAttribute("tabindex", "0");
    if (!scrolls && box.getAttribute("tabindex") === "0") box.removeAttribute("tabindex");
  }
}
window.addEventListener("load", () => {
  mend();
  if (window.MathJax && MathJax.startup && MathJax.startup.promise) MathJax.startup.promise.then(mend);
});
window.addEventListener("resize", mend);
for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", mend);
for (const summary of document.querySelectorAll("details.hide > summary")) summary.removeAttribute("aria-label");

// Embedded microscopes are as light or dark as the page.
const microscopes = [...document.querySelectorAll("iframe.microscope")];
function shade(frame) {
  frame.contentWindow.postMessage({ theme: document.documentElement.classList.contains("dark") ? "dark" : "light" }, "*");
}
for (const frame of microscopes) {
  frame.addEventListener("load", () => shade(frame));
  shade(frame);
}
new MutationObserver(() => microscopes.forEach(shade)).observe(document.documentElement, { attributeFilter: ["class"] });
