import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";
import { licenses } from "./licenses";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Every browser that runs this page reads woff2: the older copies of the math fonts stay out. */
function onlyModernFonts(): Plugin {
  return {
    name: "only-modern-fonts",
    enforce: "pre",
    transform(code, id) {
      if (!/katex.*\.css/.test(id)) return null;
      return code.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("(?:woff|truetype)"\)/g, "");
    },
  };
}

export default defineConfig({
  // Relative asset links: the page works under any path prefix.
  base: "./",
  plugins: [onlyModernFonts(), licenses()],
  esbuild: { jsx: "automatic" },
  resolve: {
    alias: [
      // The vendor's inspector talks to services on the internet; this page never opens it.
      { find: "@copilotkit/web-inspector", replacement: here("src/absent.ts") },
      { find: /^shiki$/, replacement: here("src/highlighter.ts") },
      { find: "mermaid", replacement: here("src/diagrams.ts") },
    ],
    dedupe: ["react", "react-dom", "zod"],
  },
  build: {
    outDir: here("../src/jumpseat/cli/page"),
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
  },
  server: {
    proxy: { "/api/copilotkit": "http://127.0.0.1:4111" },
  },
});
