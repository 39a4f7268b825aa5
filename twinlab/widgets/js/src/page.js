// What the page around a view gives: its theme, and a place for the style.
import style from "./style.css";

/** JupyterLab and VS Code say which theme they wear; elsewhere the system decides. */
function themeOf(body, systemIsDark) {
  const lab = body.dataset.jpThemeLight;
  if (lab) return lab === "true" ? "light" : "dark";
  if (/vscode-(dark|light|high)/.test(body.className)) return body.classList.contains("vscode-light") ? "light" : "dark";
  return systemIsDark ? "dark" : "light";
}

/** Mark an element with the page's theme and tell it, now and whenever it changes, until the signal aborts. */
export function watchTheme(element, tell, signal) {
  const { body } = element.ownerDocument;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const set = () => {
    const theme = themeOf(body, dark.matches);
    element.dataset.theme = theme;
    tell(theme);
  };
  const changes = new MutationObserver(set);
  changes.observe(body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  dark.addEventListener("change", set, { signal });
  signal.addEventListener("abort", () => changes.disconnect());
  set();
}

/** Our style, once a page. */
export function addStyle(page) {
  if (page.getElementById("twinlab-style")) return;
  const element = page.createElement("style");
  element.id = "twinlab-style";
  element.textContent = style;
  page.head.append(element);
}
