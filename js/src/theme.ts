// Light or dark, as the page around the widget is; and word when that changes.

/** Whether the page around the widget is dark: Jupyter, VS Code, Colab, else the system. */
export function isDark(): boolean {
  const { body, documentElement: html } = document;
  const jupyter = body.getAttribute("data-jp-theme-light") ?? html.getAttribute("data-jp-theme-light");
  if (jupyter !== null) return jupyter === "false";
  const code = body.getAttribute("data-vscode-theme-kind");
  if (code !== null) return code.includes("dark") || code === "vscode-high-contrast";
  const named = html.getAttribute("theme") ?? html.getAttribute("data-theme") ?? body.getAttribute("data-theme");
  if (named === "dark" || named === "light") return named === "dark";
  return typeof matchMedia === "function" && matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Keep `data-theme` of the root right; `changed` is called after each change of the theme. */
export function followTheme(root: HTMLElement, changed: () => void, signal: AbortSignal): void {
  const apply = (): void => {
    root.setAttribute("data-theme", isDark() ? "dark" : "light");
  };
  const onChange = (): void => {
    apply();
    changed();
  };
  apply();
  const observer = new MutationObserver(onChange);
  const attributeFilter = ["data-jp-theme-light", "data-jp-theme-name", "data-vscode-theme-kind", "theme", "data-theme", "class"];
  observer.observe(document.body, { attributes: true, attributeFilter });
  observer.observe(document.documentElement, { attributes: true, attributeFilter });
  signal.addEventListener("abort", () => {
    observer.disconnect();
  });
  if (typeof matchMedia === "function") {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange, { signal });
  }
}

/** A colour variable of the widget as it is now, for canvases. */
export function colour(root: Element, name: string): string {
  return getComputedStyle(root).getPropertyValue(name).trim();
}
