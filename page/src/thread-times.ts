// When a thread was last active, in words.
import type { Thread } from "./thread-row";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const relative = new Intl.RelativeTimeFormat(undefined, { style: "narrow", numeric: "auto" });
const dayMonth = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export function lastActivity(thread: Thread): number {
  return Date.parse(thread.lastRunAt ?? thread.updatedAt ?? thread.createdAt);
}

export function ago(time: number): string {
  const passed = Date.now() - time;
  if (!Number.isFinite(passed)) return "";
  if (passed < MINUTE) return "now";
  if (passed < 60 * MINUTE) return relative.format(-Math.floor(passed / MINUTE), "minute");
  if (passed < DAY) return relative.format(-Math.floor(passed / (60 * MINUTE)), "hour");
  if (passed < 7 * DAY) return relative.format(-Math.floor(passed / DAY), "day");
  return dayMonth.format(time);
}

function period(time: number): string {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (time >= midnight) return "Today";
  if (time >= midnight - DAY) return "Yesterday";
  if (time >= midnight - 7 * DAY) return "Past week";
  return "Older";
}

/** The threads in their order, under headings from today to older. */
export function byPeriod(threads: Thread[]): [string, Thread[]][] {
  const groups = new Map<string, Thread[]>();
  for (const thread of threads) {
    const label = period(lastActivity(thread));
    groups.set(label, [...(groups.get(label) ?? []), thread]);
  }
  return [...groups];
}

