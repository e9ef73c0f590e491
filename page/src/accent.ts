// The page's accent colour: a CSS variable on the root element, remembered per browser.
import { useSyncExternalStore } from "react";

const KEY = "jumpseat.accent";
const DEFAULT = "#d9480f";
const listeners = new Set<() => void>();

function remembered(): string | null {
  try {
    return window.localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function remember(colour: string | null): void {
  try {
    if (colour === null) window.localStorage.removeItem(KEY);
    else window.localStorage.setItem(KEY, colour);
  } catch {
    // Storage can be switched off; the colour then lasts until the next load.
  }
}

let accent = DEFAULT;

/** Black or white, whichever reads better on the colour. */
function inkOn(colour: string): string {
  const context = document.createElement("canvas").getContext("2d");
  if (!context) return "#fff";
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [red = 0, green = 0, blue = 0] = context.getImageData(0, 0, 1, 1).data;
  const linear = (channel: number) => {
    const value = channel / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  const luminance = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  return luminance > 0.36 ? "#161412" : "#fff";
}

function apply(colour: string): void {
  accent = colour;
  const root = document.documentElement;
  root.style.setProperty("--accent-colour", colour);
  root.style.setProperty("--on-accent", inkOn(colour));
  root.dataset.accent = colour;
  for (const listener of listeners) listener();
}

export function isColour(value: string): boolean {
  return value.trim() !== "" && CSS.supports("color", value) && !/^(inherit|initial|unset|revert|currentcolor)/i.test(value);
}

export function setAccent(colour: string): void {
  remember(colour);
  apply(colour);
}

export function resetAccent(): void {
  remember(null);
  apply(DEFAULT);
}

export function loadAccent(): void {
  const saved = remembered();
  apply(saved && isColour(saved) ? saved : DEFAULT);
}

export function useAccent(): { accent: string; isDefault: boolean } {
  const current = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => accent,
  );
  return { accent: current, isDefault: current === DEFAULT };
}
