// A dashboard saved to one file: the page holds what it showed, and this shows it again.

import type { DashboardModel } from "./transport";

/** The model of the page's saved state; null where the page is none. */
export function savedModel(): DashboardModel | null {
  const text = document.getElementById("coflect-saved")?.textContent;
  if (!text) return null;
  const { update, buffers } = JSON.parse(text) as { update: unknown; buffers: string[] };
  const bytes = buffers.map((one) => Uint8Array.from(atob(one), (character) => character.charCodeAt(0)));
  const nothing = (): void => undefined;
  return {
    get: (name) => (name === "_snapshot" ? { update, buffers: bytes } : ""),
    on: nothing,
    off: nothing,
    widget_manager: { get_model: () => Promise.reject(new Error("this page has no kernel")) },
  };
}
