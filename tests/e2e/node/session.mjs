// What a tab has seen so far: events, errors, and waits for either.

const KEPT_EVENT_BYTES = 4_000;

export class Watched {
  events = [];
  failures = [];
  runIds = [];
  #waiters = new Set();

  // A subscriber for any agent of any release.
  subscriber() {
    return {
      onEvent: ({ event }) => this.note(event),
      onRunFailed: ({ error }) => this.fail("onRunFailed", error),
      onRunErrorEvent: ({ event }) => this.fail("onRunErrorEvent", event),
      onRunInitialized: ({ input }) => void this.runIds.push(input.runId),
      onRunFinalized: () => this.changed(),
      onMessagesChanged: () => this.changed(),
    };
  }

  note(event) {
    const text = JSON.stringify(event);
    this.events.push(text.length <= KEPT_EVENT_BYTES ? JSON.parse(text) : { type: event.type, bytes: text.length });
    this.changed();
  }

  fail(where, error) {
    this.failures.push({ where, message: String(error?.message ?? error), code: error?.code ?? null });
    this.changed();
  }

  changed() {
    for (const waiter of [...this.#waiters]) waiter();
  }

  until(holds) {
    return new Promise((resolve) => {
      const look = () => {
        if (!holds()) return;
        this.#waiters.delete(look);
        resolve();
      };
      this.#waiters.add(look);
      look();
    });
  }

  // Resolves once `count` events (of one type, or of any) were seen, or `failures` errors were raised.
  wait({ type, count = 1, failures }) {
    if (failures !== undefined) return this.until(() => this.failures.length >= failures);
    const fits = type ? (event) => event.type === type : () => true;
    return this.until(() => this.events.filter(fits).length >= count);
  }
}

export class Sessions {
  #open = new Map();

  add(name, session) {
    if (this.#open.has(name)) throw new Error(`session ${name} is already open`);
    this.#open.set(name, session);
  }

  get(name) {
    const session = this.#open.get(name);
    if (!session) throw new Error(`no open session ${name}`);
    return session;
  }

  remove(name) {
    const session = this.get(name);
    this.#open.delete(name);
    return session;
  }
}
