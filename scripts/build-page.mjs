/**
 * Joins the code and the style sheet of the page that shows a trace into a source that embeds them, so that bundlers
 * and installed packages find them without a file beside the code. Checks the page's types, which are those of a
 * browser. Does nothing if its output is up to date.
 */

import { createHash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { build } from "esbuild"
import { at, filesBelow, node, root, tools } from "./lib/project.mjs"

const page = "src/trace/page"
const target = "src/trace/write/page.generated.ts"
const sources = [...filesBelow(page), ...filesBelow("src/trace/layout"), ...filesBelow("src/trace/data")]

const fingerprint = fingerprintOf([...sources.sort(), "scripts/build-page.mjs", "node_modules/esbuild/package.json"])
if (!existsSync(at(target)) || !readFileSync(at(target), "utf8").includes(fingerprint)) await update()

async function update() {
  const failed = node(tools.tsc, ["-p", page])
  if (failed) process.exit(failed)
  const [script, style] = await Promise.all([bundle("main.ts"), bundle("style.css")])
  writeFileSync(
    at(target),
    `// Joined from ${page} by scripts/build-page.mjs.
// ${fingerprint}

export const script: string = ${JSON.stringify(script)}

export const style: string = ${JSON.stringify(style)}
`,
  )
}

/** One file of code, as small as possible. It stands inside an HTML element, which it must not end. */
async function bundle(entry) {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [`${page}/${entry}`],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    platform: "browser",
    target: ["chrome111", "firefox113", "safari16.4"],
    charset: "utf8",
    legalComments: "none",
    logLevel: "warning",
  })
  return outputFiles[0].text.trim().replaceAll("</", "<\\/")
}

function fingerprintOf(paths) {
  const hash = createHash("sha256")
  for (const path of paths) hash.update(`${path}\n`).update(readFileSync(at(path)))
  return hash.digest("hex")
}
