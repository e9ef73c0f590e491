// Runs that stopped to ask something: the question, a form for the answer, and the way on.
import { type Interrupt, useAgent, UseAgentUpdate, useInterrupt } from "@copilotkit/react-core/v2";
import { type FormEvent, useState } from "react";
import { reportFailure } from "./errors";
import { PauseIcon } from "./icons";
import { Facts } from "./tools";

export function Interrupts({ agentId }: { agentId: string }) {
  useInterrupt({
    agentId,
    render: ({ interrupt, interrupts, event, resolve, cancel }) => {
      const open = interrupts.length > 0 ? interrupts : interrupt ? [interrupt] : [];
      if (open.length === 0) {
        return (
          <InterruptCard
            agentId={agentId}
            interrupt={fromLegacy(event.value)}
            onResolve={(payload) => resolve(payload)}
            onCancel={() => cancel()}
          />
        );
      }
      return (
        <>
          {open.map((entry) => (
            <InterruptCard
              key={entry.id}
              agentId={agentId}
              interrupt={entry}
              onResolve={(payload) => resolve(payload, entry.id)}
              onCancel={() => cancel(entry.id)}
            />
          ))}
        </>
      );
    },
  });
  return null;
}

/** Agents older than the interrupt outcome send a custom event with a value of any shape. */
function fromLegacy(value: unknown): Interrupt {
  const message = typeof value === "string" ? value : JSON.stringify(value);
  return { id: "legacy", reason: "on_interrupt", message };
}

interface Field {
  name: string;
  title: string;
  type: string;
  options: string[];
  required: boolean;
}

type Schema = Record<string, unknown>;

function isRecord(value: unknown): value is Schema {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function fieldsOf(schema: unknown): Field[] {
  if (!isRecord(schema) || !isRecord(schema.properties)) return [];
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(schema.properties).map(([name, property]) => {
    const rules = isRecord(property) ? property : {};
    const options = Array.isArray(rules.enum) ? rules.enum.map(String) : [];
    const title = [rules.title, rules.description].find((text) => typeof text === "string");
    return {
      name,
      title: (title as string | undefined) ?? name,
      type: typeof rules.type === "string" ? rules.type : "string",
      options,
      required: required.includes(name),
    };
  });
}

interface AskedCall {
  name: string;
  values: Record<string, unknown>;
}

/** The tool call that the question is about, when it is about one. */
function useAskedCall(agentId: string, toolCallId: string | undefined): AskedCall | null {
  const { agent } = useAgent({ agentId, updates: [UseAgentUpdate.OnMessagesChanged] });
  if (!toolCallId) return null;
  const call = agent.messages
    .flatMap((message) => (message.role === "assistant" ? (message.toolCalls ?? []) : []))
    .find(({ id }) => id === toolCallId);
  if (!call) return null;
  const { name, arguments: text } = call.function;
  try {
    const values: unknown = JSON.parse(text || "{}");
    return { name, values: isRecord(values) ? values : { arguments: values } };
  } catch {
    return { name, values: { arguments: text } };
  }
}

interface InterruptCardProps {
  agentId: string;
  interrupt: Interrupt;
  onResolve: (payload: unknown) => Promise<unknown>;
  onCancel: () => Promise<unknown>;
}

function InterruptCard({ agentId, interrupt, onResolve, onCancel }: InterruptCardProps) {
  const call = useAskedCall(agentId, interrupt.toolCallId);
  const [answered, setAnswered] = useState(false);
  const fields = fieldsOf(interrupt.responseSchema);
  const [only] = fields;
  const yesOrNo = fields.length === 0 || (fields.length === 1 && only?.type === "boolean");

  const answer = async (send: () => Promise<unknown>) => {
    setAnswered(true);
    try {
      await send();
    } catch (error) {
      setAnswered(false);
      reportFailure("The answer could not be sent", error, agentId);
    }
  };
  const decide = (yes: boolean) => answer(() => onResolve({ [only?.name ?? "approved"]: yes }));

  return (
    <div className="card" data-testid="interrupt" data-interrupt-id={interrupt.id} data-answered={answered}>
      <header>
        <PauseIcon />
        <span>Waiting for you</span>
        {(!call || interrupt.reason !== "tool_call") && <code className="tag">{interrupt.reason}</code>}
      </header>
      <p className="card-title" data-testid="interrupt-message">
        {interrupt.message || "The agent needs an answer to go on."}
      </p>
      {call && (
        <section data-testid="interrupt-call" aria-label="What you decide about">
          <code className="tag">{call.name}</code>
          <Facts values={call.values} />
        </section>
      )}
      {isRecord(interrupt.metadata) && <Facts values={interrupt.metadata} />}
      {yesOrNo ? (
        <div className="card-actions">
          <button type="button" className="button primary" data-testid="interrupt-approve" disabled={answered} onClick={() => decide(true)}>
            Approve
          </button>
          <button type="button" className="button" data-testid="interrupt-decline" disabled={answered} onClick={() => decide(false)}>
            Decline
          </button>
          <SkipButton disabled={answered} onCancel={() => answer(onCancel)} />
        </div>
      ) : (
        <AnswerForm
          fields={fields}
          disabled={answered}
          onSubmit={(payload) => answer(() => onResolve(payload))}
          onCancel={() => answer(onCancel)}
        />
      )}
    </div>
  );
}

/** Unlike a no, this tells the agent that nobody answered. */
function SkipButton({ disabled, onCancel }: { disabled: boolean; onCancel: () => void }) {
  return (
    <button
      type="button"
      className="button quiet"
      data-testid="interrupt-cancel"
      title="Tells the agent that you did not answer"
      disabled={disabled}
      onClick={onCancel}
    >
      Skip without an answer
    </button>
  );
}

interface AnswerFormProps {
  fields: Field[];
  disabled: boolean;
  onSubmit: (payload: Record<string, unknown>) => void;
  onCancel: () => void;
}

function answerOf(field: Field, data: FormData): unknown {
  if (field.type === "boolean") return data.has(field.name);
  const text = String(data.get(field.name) ?? "");
  if (text === "" && !field.required) return undefined;
  if (field.type === "number" || field.type === "integer") return Number(text);
  if (field.type === "string" || field.options.length > 0) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function AnswerForm({ fields, disabled, onSubmit, onCancel }: AnswerFormProps) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    onSubmit(Object.fromEntries(fields.map((field) => [field.name, answerOf(field, data)])));
  };
  return (
    <form onSubmit={submit}>
      <fieldset disabled={disabled}>
        {fields.map((field) => (
          <FieldInput key={field.name} field={field} />
        ))}
        <div className="card-actions">
          <button type="submit" className="button primary" data-testid="interrupt-submit">
            Continue
          </button>
          <SkipButton disabled={disabled} onCancel={onCancel} />
        </div>
      </fieldset>
    </form>
  );
}

function FieldInput({ field }: { field: Field }) {
  const common = { name: field.name, "data-testid": `interrupt-field-${field.name}` };
  if (field.type === "boolean") {
    return (
      <label className="field inline">
        <input type="checkbox" {...common} /> {field.title}
      </label>
    );
  }
  if (field.options.length > 0) {
    return (
      <fieldset className="field choices">
        <legend>{field.title}</legend>
        {field.options.map((option, index) => (
          <label key={option}>
            <input type="radio" {...common} value={option} defaultChecked={index === 0} />
            <span>{option}</span>
          </label>
        ))}
      </fieldset>
    );
  }
  const numeric = field.type === "number" || field.type === "integer";
  return (
    <label className="field">
      {field.title}
      <input
        type={numeric ? "number" : "text"}
        step={field.type === "number" ? "any" : undefined}
        required={field.required}
        {...common}
      />
    </label>
  );
}
