import "@copilotkit/react-core/v2/styles.css";
import "./styles.css";

import { createRoot } from "react-dom/client";
import { loadAccent } from "./accent";
import { App } from "./app";
import { reportUncaught } from "./errors";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark", dark.matches);
followScheme();
dark.addEventListener("change", followScheme);

window.addEventListener("error", (event) => reportUncaught(event.error ?? event.message));
window.addEventListener("unhandledrejection", (event) => reportUncaught(event.reason));

loadAccent();
createRoot(document.getElementById("root")!).render(<App />);
