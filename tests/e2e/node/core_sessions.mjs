// Tabs built on @copilotkit/core, the engine under every stock CopilotKit front end.

import { Sessions, Watched } from "./session.mjs";

// The engine talks to a runtime only where it finds a page.
const PAGE = "http://localhost/";

export async function load(release) {
  globalThis.window ??= Object.assign(new EventTarget(), { location: new URL(PAGE) });
  const core = await import(release);
  const { CopilotKitCore, ɵcreateThreadStore, ɵselectThreads, ɵselectThreadsIsLoading, ɵselectThreadsError } = core;
  const { ɵselectFetchMoreError, ɵselectHasNextPage, ɵselectIsFetchingNextPage } = core;

  const sessions = new Sessions();

  class Tab {
    watched = new Watched();
    coreErrors = [];
    asked = [];
    threadStores = new Map();
    suggestions = { items: [], loading: false };

    constructor({ runtimeUrl, transport, headers, agentId, threadId, tools, sends }) {
      this.core = new CopilotKitCore({
        runtimeUrl,
        runtimeTransport: transport ?? "auto",
        headers,
        properties: {},
        ...(sends ? { messageFilter: (messages) => ends(messages, sends) } : {}),
      });
      this.core.subscribe({
        onError: ({ error, code }) => {
          this.coreErrors.push({ code, message: String(error?.message ?? error) });
          this.watched.changed();
        },
        onRuntimeConnectionStatusChanged: () => this.watched.changed(),
        onSuggestionsChanged: ({ suggestions }) => {
          this.suggestions.items = suggestions;
          this.watched.changed();
        },
        onSuggestionsStartedLoading: () => (this.suggestions.loading = true),
        onSuggestionsFinishedLoading: () => {
          this.suggestions.loading = false;
          this.watched.changed();
        },
      });
      this.agentId = agentId;
      this.threadId = threadId;
      for (const tool of tools ?? []) this.core.addTool(this.#tool(tool));
    }

    #tool({ name, kind, result, followUp }) {
      const answered = kind === "human-in-the-loop";
      return {
        name,
        description: name,
        ...(followUp === undefined ? {} : { followUp }),
        ...(answered ? { type: "human-in-the-loop" } : {}),
        handler: (args, context) => {
          if (!answered) return result ?? JSON.stringify(args);
          return new Promise((resolve) => {
            this.asked.push({ toolCallId: context?.toolCall?.id ?? null, name, args, resolve, answered: false });
            this.watched.changed();
          });
        },
      };
    }

    async ready() {
      const settled = ["connected", "error"];
      await this.watched.until(() => settled.includes(this.core.runtimeConnectionStatus));
      this.agent = this.core.getAgent(this.agentId);
      if (!this.agent) return;
      if (this.threadId) this.agent.threadId = this.threadId;
      this.agent.subscribe(this.watched.subscriber());
    }

    report(outcome = {}) {
      const agent = this.agent;
      return {
        status: this.core.runtimeConnectionStatus,
        threadId: agent?.threadId ?? null,
        messages: agent?.messages ?? [],
        state: agent?.state ?? null,
        pendingInterrupts: agent?.pendingInterrupts ?? [],
        isRunning: agent?.isRunning ?? false,
        events: this.watched.events,
        failures: this.watched.failures,
        runIds: this.watched.runIds,
        coreErrors: this.coreErrors,
        asked: this.asked.map(({ toolCallId, name, args, answered }) => ({ toolCallId, name, args, answered })),
        suggestions: this.suggestions,
        ...outcome,
      };
    }

    // What useThreads does with its store, without React around it.
    threadStore({ includeArchived = false, limit } = {}) {
      const key = JSON.stringify([includeArchived, limit ?? null]);
      const known = this.threadStores.get(key);
      if (known) return known;
      if (this.core.threadEndpoints?.list === false) {
        throw new Error("Thread endpoints are not available on this CopilotKit runtime");
      }
      const store = ɵcreateThreadStore({ fetch: this.core.ɵruntimeFetch ?? globalThis.fetch });
      this.threadStores.set(key, store);
      store.start();
      this.core.registerThreadStore(this.agentId, store);
      store.select((state) => state).subscribe(() => this.watched.changed());
      store.setContext({
        runtimeUrl: this.core.runtimeUrl,
        headers: { ...this.core.headers },
        wsUrl: this.core.intelligence?.wsUrl,
        agentId: this.agentId,
        includeArchived,
        ...(limit === undefined ? {} : { limit }),
      });
      return store;
    }

    async threads(options) {
      const store = this.threadStore(options);
      const busy = () => ɵselectThreadsIsLoading(store.getState()) || ɵselectIsFetchingNextPage(store.getState());
      await this.watched.until(() => !busy());
      const state = store.getState();
      return {
        threads: ɵselectThreads(state),
        error: ɵselectThreadsError(state)?.message ?? null,
        fetchMoreError: ɵselectFetchMoreError(state)?.message ?? null,
        hasNextPage: ɵselectHasNextPage(state),
      };
    }
  }

  const tab = (name) => sessions.get(name);

  const operations = {
    async open({ session, ...configuration }) {
      const opened = new Tab(configuration);
      sessions.add(session, opened);
      await opened.ready();
      return opened.report();
    },

    say({ session, message }) {
      tab(session).agent.addMessage(message);
    },

    set({ session, messages, state, threadId }) {
      const { agent } = tab(session);
      if (threadId !== undefined) agent.threadId = threadId;
      if (messages !== undefined) agent.setMessages(messages);
      if (state !== undefined) agent.setState(state);
    },

    async run({ session, parameters }) {
      const opened = tab(session);
      await opened.core.runAgent({ agent: opened.agent, ...parameters });
      return opened.report();
    },

    async connect({ session }) {
      const opened = tab(session);
      await opened.core.connectAgent({ agent: opened.agent });
      return opened.report();
    },

    stop({ session }) {
      const opened = tab(session);
      opened.core.stopAgent({ agent: opened.agent });
    },

    answer({ session, name, result }) {
      const open = tab(session).asked.find((question) => question.name === name && !question.answered);
      if (!open) throw new Error(`nothing asks for ${name}`);
      open.answered = true;
      open.resolve(result);
    },

    async wait({ session, asked, idle, coreErrors, text, ...condition }) {
      const opened = tab(session);
      if (asked) return opened.watched.until(() => opened.asked.some((q) => q.name === asked && !q.answered));
      if (idle) return opened.watched.until(() => !opened.agent.isRunning);
      if (coreErrors) return opened.watched.until(() => opened.coreErrors.length >= coreErrors);
      if (text) return opened.watched.until(() => JSON.stringify(opened.agent.messages).includes(text));
      return opened.watched.wait(condition);
    },

    look({ session }) {
      return tab(session).report();
    },

    info({ session }) {
      const { core: engine } = tab(session);
      return {
        agents: Object.keys(engine.agents),
        status: engine.runtimeConnectionStatus,
        transport: engine.runtimeTransport,
        mode: engine.runtimeMode,
        threadEndpoints: engine.threadEndpoints ?? null,
        suggestions: engine.suggestions ?? null,
      };
    },

    threads: ({ session, options }) => tab(session).threads(options),

    async refetch({ session, options }) {
      tab(session).threadStore(options).refetchThreads();
      return tab(session).threads(options);
    },

    async nextPage({ session, options }) {
      tab(session).threadStore(options).fetchNextPage();
      return tab(session).threads(options);
    },

    async changeThread({ session, options, verb, threadId, name }) {
      const store = tab(session).threadStore(options);
      const verbs = {
        rename: () => store.renameThread(threadId, name),
        archive: () => store.archiveThread(threadId),
        unarchive: () => store.unarchiveThread(threadId),
        delete: () => store.deleteThread(threadId),
      };
      await verbs[verb]();
      return tab(session).threads(options);
    },

    async suggest({ session, configuration }) {
      const opened = tab(session);
      opened.core.addSuggestionsConfig({ ...configuration, available: "always" });
      opened.suggestions.loading = true;
      opened.core.reloadSuggestions(opened.agentId);
      await opened.watched.until(() => !opened.suggestions.loading);
      return opened.core.getSuggestions(opened.agentId);
    },

    // A function of a module that a page imports, with what useCopilotKit and useAgent give to its components.
    async imported({ session, module, name, parameters }) {
      const { [name]: called } = await import(`data:text/javascript,${encodeURIComponent(module)}`);
      const { core: engine, agent } = tab(session);
      return called(engine, agent, ...parameters);
    },

    close({ session }) {
      const opened = sessions.remove(session);
      for (const store of opened.threadStores.values()) store.stop();
      // What leaving the page does to its streams; the agent's own abort asks the server to stop.
      opened.agent?.abortController.abort();
    },
  };

  return { operations };
}

// The first and the last messages of a conversation, each once.
function ends(messages, { first = 0, last = 0 }) {
  if (first + last >= messages.length) return messages;
  return [...messages.slice(0, first), ...messages.slice(messages.length - last)];
}
