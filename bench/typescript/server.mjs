// The TypeScript runtime with the scripted agent, on 127.0.0.1:$PORT.
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { AbstractAgent, EventType } from "@ag-ui/client";
import { BuiltInAgent, CopilotRuntime, InMemoryAgentRunner } from "@copilotkit/runtime/v2";
import { createCopilotNodeListener } from "@copilotkit/runtime/v2/node";
import { from } from "rxjs";

// The script is the one of ../script.py: same events, same pacing, same text.
async function* scripted(input) {
  const { events = 10, rate = 0, clocked = false, delta = 16, hold = 0 } = input.forwardedProps?.bench ?? {};
  const { threadId, runId } = input;
  const messageId = `${runId}-answer`;
  const text = "x".repeat(delta);
  yield { type: EventType.RUN_STARTED, threadId, runId };
  yield { type: EventType.TEXT_MESSAGE_START, messageId, role: "assistant" };
  const began = performance.now();
  for (let index = 0; index < events; index++) {
    const due = clocked ? began + (index * 1000) / rate - performance.now() : 1000 / rate;
    const early = rate > 0 ? due : 0;
    if (early > 0) await sleep(early);
    yield { type: EventType.TEXT_MESSAGE_CONTENT, messageId, delta: text };
  }
  if (hold > 0) await sleep(hold * 1000);
  yield { type: EventType.TEXT_MESSAGE_END, messageId };
  yield { type: EventType.RUN_FINISHED, threadId, runId };
}

class ScriptedAgent extends AbstractAgent {
  run(input) {
    return from(scripted(input));
  }
}

const model = process.env.BENCH_MODEL;

const runtime = new CopilotRuntime({
  agents: { bench: model ? new BuiltInAgent({ model }) : new ScriptedAgent() },
  // By default it forgets all but the last 100 runs of a thread; the long thread needs them all.
  runner: new InMemoryAgentRunner({ maxRunsPerThread: Infinity, maxThreads: Infinity }),
});
const listener = createCopilotNodeListener({ runtime, basePath: "/api/copilotkit" });
createServer(listener).listen({ port: Number(process.env.PORT), host: "127.0.0.1", backlog: 4096 });
