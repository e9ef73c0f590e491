// Everything that went wrong, where the person at the page can see it.
import { useSyncExternalStore } from "react";
import { CloseIcon, WarningIcon } from "./icons";
import { THREAD_AGENT_PREFIX } from "./thread-agent";

export interface PageError {
  id: number;
  title: string;
  message: string;
  code: string | null;
  tone: "error" | "notice";
  at: number;
  count: number;
  /** Loading the thread again may show what this failure hid. */
  reloadable: boolean;
  /** The agent of the thread it happened in: shown while that one is open. `null` is shown above every thread. */
  thread: string | null;
}

interface CoreErrorEvent {
  error: Error;
  code: string;
  context: Record<string, unknown>;
}

const LIMIT = 20;
// One failure reaches the page through several callbacks; they arrive close together.
const SAME_FAILURE_MS = 2000;
const UNCAUGHT_WAIT_MS = 300;
const NOTICE_MS = 12_000;
const QUESTION_LEFT = "Human-in-the-loop interaction aborted";
const CONNECTION_LOST = "The connection was lost";

const TITLES: Record<string, string> = {
  runtime_info_fetch_failed: "The runtime does not answer",
  agent_connect_failed: "The thread could not be loaded",
  agent_run_failed: "The run failed",
  agent_run_failed_event: "The run failed",
  agent_thread_locked: "The thread is busy",
  agent_not_found: "The agent was not found",
  tool_not_found: "The agent called a tool this page does not have",
  tool_argument_parse_failed: "The agent sent unreadable tool arguments",
  tool_handler_failed: "A tool of this page failed",
};

let errors: readonly PageError[] = [];
let nextId = 1;
const listeners = new Set<() => void>();

function publish(next: readonly PageError[]): void {
  errors = next;
  for (const listener of listeners) listener();
}

function add(entry: Omit<PageError, "id" | "at" | "count">): void {
  const now = Date.now();
  const known = errors.find(
    (error) => error.title === entry.title && error.message === entry.message && error.thread === entry.thread,
  );
  if (known) {
    if (now - known.at < SAME_FAILURE_MS) return;
    const again = { ...known, at: now, count: known.count + 1 };
    publish([again, ...errors.filter((error) => error !== known)]);
    return;
  }
  const id = nextId++;
  publish([{ ...entry, id, at: now, count: 1 }, ...errors].slice(0, LIMIT));
  if (entry.tone === "notice") setTimeout(() => dismissError(id), NOTICE_MS);
}

function text(value: unknown): string {
  if (value instanceof Error) return value.message || value.name;
  if (typeof value === "string") return value;
  return JSON.stringify(value) ?? String(value);
}

/** Takes apart `HTTP 409: {"error":…,"message":…,"code":…}`, the form in which clients report a refusal. */
function readable(raw: string): { message: string; code: string | null } {
  const refusal = /^HTTP (\d{3}):\s*([\s\S]*)$/.exec(raw);
  if (!refusal) return { message: raw, code: null };
  const [, status, body = ""] = refusal;
  try {
    const parsed = JSON.parse(body) as { error?: unknown; message?: unknown; code?: unknown };
    const message = [parsed.message, parsed.error].find((part) => typeof part === "string");
    const code = typeof parsed.code === "string" ? `${status} ${parsed.code}` : `HTTP ${status}`;
    return { message: (message as string | undefined) ?? body, code };
  } catch {
    return { message: body || `The server answered with status ${status}`, code: `HTTP ${status}` };
  }
}

/** Whether an error says that the network failed, not that the server refused. */
export function isLostConnection(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof Error && /network|fetch|terminated/i.test(error.message));
}

function titleOf(event: CoreErrorEvent): string {
  const isStream = event.code.startsWith("agent_run_failed") || event.code === "agent_connect_failed";
  if (isStream && isLostConnection(event.error)) return CONNECTION_LOST;
  return TITLES[event.code] ?? "Something went wrong";
}

function threadOf(event: CoreErrorEvent): string | null {
  const id = event.context?.agentId;
  return typeof id === "string" && id.startsWith(THREAD_AGENT_PREFIX) ? id : null;
}

export function reportCoreError(event: CoreErrorEvent): void {
  const runCode = event.context?.runtimeErrorCode;
  const thread = threadOf(event);
  if (event.code === "agent_run_error_event") {
    reportRunError(thread, text(event.error), typeof runCode === "string" ? runCode : undefined);
    return;
  }
  // Leaving a thread takes its open question off the page; it is asked again when the thread is opened.
  if (event.code === "tool_handler_failed" && text(event.error) === QUESTION_LEFT) return;
  const { message, code } = readable(text(event.error));
  add({
    title: titleOf(event),
    message,
    code,
    tone: "error",
    reloadable: event.code === "agent_connect_failed" || event.code.startsWith("agent_run_failed"),
    thread,
  });
}

/** A RUN_ERROR event of a thread. */
export function reportRunError(thread: string | null, message: string, code?: string): void {
  // The client's own word for a stream that the page closed.
  if (code === "abort") return;
  const stopped = code === "STOPPED";
  add({
    title: stopped ? "The run was stopped" : "The run failed",
    message,
    code: code ?? null,
    tone: stopped ? "notice" : "error",
    reloadable: false,
    thread,
  });
}

export function reportFailure(title: string, cause: unknown, thread: string | null = null): void {
  const { message, code } = readable(text(cause));
  add({ title, message, code, tone: "error", reloadable: false, thread });
}

export function reportUncaught(cause: unknown): void {
  // Leaving a thread aborts its stream; nobody lost anything.
  if (cause instanceof Error && cause.name === "AbortError") return;
  // Browsers announce a layout detail under this name; it is no failure.
  if (typeof cause === "string" && cause.includes("ResizeObserver loop")) return;
  // The client rejects promises beside calling back; what was called back says more.
  setTimeout(() => {
    const message = text(cause);
    const known = errors.some((error) => error.message === message && Date.now() - error.at < SAME_FAILURE_MS);
    if (!known) reportFailure("This page ran into a problem", cause);
  }, UNCAUGHT_WAIT_MS);
}

export function reportNotice(title: string, message: string, thread: string | null = null): void {
  add({ title, message, code: null, tone: "notice", reloadable: false, thread });
}

export function dismissError(id: number): void {
  publish(errors.filter((error) => error.id !== id));
}

function dismissErrors(shown: readonly PageError[]): void {
  publish(errors.filter((error) => !shown.includes(error)));
}

/** The runtime answers again: what only said that it did not is out of date. */
export function dismissConnectionErrors(): void {
  const outdated = [TITLES.runtime_info_fetch_failed, CONNECTION_LOST];
  publish(errors.filter((error) => !outdated.includes(error.title)));
}

function useErrors(): readonly PageError[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => errors,
  );
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function ErrorArea({ openThread, onReloadThread }: { openThread: string; onReloadThread: () => void }) {
  const items = useErrors().filter((error) => error.thread === null || error.thread === openThread);
  return (
    <section className="error-area" data-testid="error-area" aria-label="Problems" aria-live="polite">
      {items.length > 1 && (
        <div className="error-head">
          <span>{items.length} problems</span>
          <button type="button" className="link" data-testid="error-dismiss-all" onClick={() => dismissErrors(items)}>
            Dismiss all
          </button>
        </div>
      )}
      <ul className="error-list">
        {items.map((item) => (
          <ErrorItem key={item.id} item={item} onReloadThread={onReloadThread} />
        ))}
      </ul>
    </section>
  );
}

function ErrorItem({ item, onReloadThread }: { item: PageError; onReloadThread: () => void }) {
  return (
    <li className="error-item" data-testid="error-item" data-tone={item.tone} role="alert">
      <WarningIcon />
      <div className="error-text">
        <p className="error-title">
          <strong>{item.title}</strong>
          {item.count > 1 && <span className="tag">×{item.count}</span>}
          {item.code && <code className="tag">{item.code}</code>}
          <time dateTime={new Date(item.at).toISOString()}>{clock.format(item.at)}</time>
        </p>
        <p className="error-message" data-testid="error-message">
          {item.message}
        </p>
      </div>
      {item.reloadable && (
        <button type="button" className="button small" data-testid="error-reload-thread" onClick={onReloadThread}>
          Reload thread
        </button>
      )}
      <button
        type="button"
        className="icon-button"
        data-testid="error-dismiss"
        aria-label="Dismiss"
        onClick={() => dismissError(item.id)}
      >
        <CloseIcon />
      </button>
    </li>
  );
}
