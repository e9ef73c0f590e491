// Writes licenses.txt beside the bundle: the notices of every package whose code is in it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Plugin } from "vite";

interface Manifest {
  name?: string;
  version?: string;
  license?: string;
}

/** The folder and manifest of the package that a module belongs to. */
function packageOf(moduleId: string): { folder: string; manifest: Manifest } | null {
  const file = moduleId.replace(/^\0/, "").split("?")[0] ?? "";
  if (!file.includes("/node_modules/")) return null;
  for (let folder = dirname(file); !folder.endsWith("/node_modules"); folder = dirname(folder)) {
    const path = join(folder, "package.json");
    if (!existsSync(path)) continue;
    const manifest = JSON.parse(readFileSync(path, "utf8")) as Manifest;
    // Packages mark their module format with nameless manifests further down.
    if (manifest.name && manifest.version) return { folder, manifest };
  }
  return null;
}

function notice(folder: string): string {
  const name = readdirSync(folder).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
  return name ? readFileSync(join(folder, name), "utf8").trim() : "";
}

export function licenses(): Plugin {
  return {
    name: "licenses",
    generateBundle(_options, bundle) {
      const notices = new Map<string, string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== "chunk") continue;
        for (const id of chunk.moduleIds) {
          const found = packageOf(id);
          if (!found) continue;
          const { name, version, license } = found.manifest;
          const title = `${name} ${version} (${license ?? "see below"})`;
          if (!notices.has(title)) notices.set(title, notice(found.folder));
        }
      }
      const source = [...notices]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([title, text]) => `${title}\n\n${text}`)
        .join(`\n\n${"-".repeat(72)}\n\n`);
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: `${source}\n` });
    },
  };
}
