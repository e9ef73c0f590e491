// Tabs built directly on @ag-ui/client: its HttpAgent, plus the connect request that CopilotKit adds to it.

import { from } from "rxjs";

import { Sessions, Watched } from "./session.mjs";

export async function load(release) {
  const { HttpAgent, AbstractAgent, runHttpRequest, transformHttpEventStream } = await import(release);

  class TabAgent extends HttpAgent {
    connect(input) {
      const url = this.url.replace(/\/run$/, "/connect");
      return transformHttpEventStream(runHttpRequest(() => this.fetch(url, this.requestInit(input))));
    }
  }

  // Plays a list of events as if an agent had sent them.
  class RecordedAgent extends AbstractAgent {
    constructor(config, events) {
      super(config);
      this.recorded = events;
    }
    run() {
      return from(structuredClone(this.recorded));
    }
  }

  const sessions = new Sessions();

  function tab(name) {
    return sessions.get(name);
  }

  function report({ agent, watched }, outcome = {}) {
    return {
      threadId: agent.threadId,
      messages: agent.messages,
      state: agent.state,
      pendingInterrupts: agent.pendingInterrupts ?? [],
      isRunning: agent.isRunning,
      events: watched.events,
      failures: watched.failures,
      runIds: watched.runIds,
      ...outcome,
    };
  }

  async function settle(session, promise) {
    try {
      const { result, newMessages } = await promise;
      return report(session, { result: result ?? null, newMessages, rejected: null });
    } catch (error) {
      return report(session, { result: null, newMessages: [], rejected: String(error?.message ?? error) });
    }
  }

  const operations = {
    open({ session, url, threadId, messages = [], state = {}, headers = {} }) {
      const agent = new TabAgent({ url, threadId, headers, initialMessages: messages, initialState: state });
      const watched = new Watched();
      agent.subscribe(watched.subscriber());
      sessions.add(session, { agent, watched });
    },

    say({ session, message }) {
      tab(session).agent.addMessage(message);
    },

    set({ session, messages, state }) {
      const { agent } = tab(session);
      if (messages !== undefined) agent.setMessages(messages);
      if (state !== undefined) agent.setState(state);
    },

    run({ session, parameters }) {
      const opened = tab(session);
      return settle(opened, opened.agent.runAgent(parameters));
    },

    // As CopilotKit connects: whatever still streams into the page is let go first.
    async connect({ session, parameters }) {
      const opened = tab(session);
      await opened.agent.detachActiveRun();
      // A connect starts with a fresh abort signal, as a run does.
      opened.agent.abortController = new AbortController();
      return settle(opened, opened.agent.connectAgent(parameters));
    },

    abort({ session }) {
      tab(session).agent.abortRun();
    },

    wait({ session, ...condition }) {
      return tab(session).watched.wait(condition);
    },

    look({ session }) {
      return report(tab(session));
    },

    close({ session }) {
      const { agent } = sessions.remove(session);
      agent.abortRun();
    },

    // What this release makes of a list of events: the oracle for reductions.
    async reduce({ events, messages = [], state = {}, threadId = "t", runId = "r" }) {
      const agent = new RecordedAgent({ threadId, initialMessages: messages, initialState: state }, events);
      const watched = new Watched();
      agent.subscribe(watched.subscriber());
      return settle({ agent, watched }, agent.runAgent({ runId }));
    },
  };

  return { operations };
}
