// What the server tells the page through <meta> elements of index.html.

function meta(name: string): string {
  return document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content.trim() ?? "";
}

/** Base URL of the runtime, without a trailing slash; relative ones belong to this origin. */
export const runtimeUrl = (meta("jumpseat-runtime-url") || "/api/copilotkit").replace(/\/+$/, "");

/** Whether the server says that it runs the built-in demo agent. */
export const servesDemo = meta("jumpseat-demo") === "true";

/** The model that the server chose to answer, when it serves one of its own accord. */
export const servedModel = meta("jumpseat-model");
