/**
 * Builds the published files (dist/), then tests, examples and benchmarks with a copy of src (build/).
 * Examples and benchmarks import "auxstream" as a user does, so dist/ comes first. Outputs whose source is gone are
 * removed.
 */

import { createHash } from "node:crypto"
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { at, filesBelow, node, tools } from "./project.mjs"

const compiled = ["src", "test", "examples", "bench"]
const withAssets = ["test", "examples", "bench"]
const settings = ["package.json", "package-lock.json", "tsconfig.json", "tsconfig.build.json"]
/** Write sources that embed other languages: kernels in AssemblyScript, the page that shows a trace. */
const generators = ["scripts/build-wasm.mjs", "scripts/build-page.mjs"]
/** Joins the code in dist/ into few files, and removes the others. */
const bundler = "scripts/bundle.mjs"
/** The state of the sources at the last build. */
const stamp = at("build/.inputs")

/** AssemblyScript looks like TypeScript, but has a compiler of its own. */
const isAssembly = (path) => path.includes("/assembly/")
const isGenerated = (path) => path.endsWith(".generated.ts")
const isResult = (path) => path.startsWith("bench/results/")
const isTypeScript = (path) => /\.m?ts$/.test(path) && !isAssembly(path)
const isAsset = (path) => !isTypeScript(path) && !isResult(path) && !path.endsWith(".md")

/** Builds everything. Returns 0, or the exit code of the step that failed. */
export function build() {
  rmSync(stamp, { force: true })
  const inputs = fingerprint()
  const steps = [
    ...generators.map((generator) => () => (existsSync(at(generator)) ? node(at(generator)) : 0)),
    () => node(tools.tsc, ["-p", "tsconfig.build.json"]),
    () => node(at(bundler)),
    () => node(tools.tsc, ["-p", "tsconfig.json"]),
  ]
  for (const step of steps) {
    const failed = step()
    if (failed) return failed
  }
  copyAssets()
  removeOrphans()
  writeFileSync(stamp, inputs)
  return 0
}

/** Whether the sources are the same as at the last build. */
export function isBuilt() {
  return existsSync(at("dist/index.js")) && existsSync(stamp) && readFileSync(stamp, "utf8") === fingerprint()
}

/** Names, sizes and times of all inputs, so that a source that was removed counts as a change, too. */
function fingerprint() {
  const sources = compiled.flatMap((folder) => filesBelow(folder))
  const inputs = [
    ...settings,
    ...generators,
    bundler,
    ...sources.filter((path) => !isGenerated(path) && !isResult(path)).sort(),
  ]
  const hash = createHash("sha256")
  for (const path of inputs) {
    const found = statSync(at(path), { throwIfNoEntry: false })
    hash.update(`${path} ${found?.size} ${found?.mtimeMs}\n`)
  }
  return hash.digest("hex")
}

/** Copies the files that examples and tests read (pictures, kernels in other languages) next to their outputs. */
function copyAssets() {
  for (const path of withAssets.flatMap((folder) => filesBelow(folder)).filter(isAsset)) {
    const target = at("build", path)
    mkdirSync(dirname(target), { recursive: true })
    copyFileSync(at(path), target)
  }
}

function removeOrphans() {
  for (const path of filesBelow("dist")) {
    if (path.endsWith(".d.ts") && !hasSource(path.replace(/^dist\//, "src/"))) rmSync(at(path))
  }
  for (const path of compiled.flatMap((folder) => filesBelow(`build/${folder}`))) {
    const source = path.replace(/^build\//, "")
    if (!hasSource(source) && !(isAsset(source) && existsSync(at(source)))) rmSync(at(path))
  }
}

/** Whether the source of a compiled file still exists. The file is named as if it lay beside its source. */
function hasSource(output) {
  const [, stem, module] = /^(.*?)(?:\.d)?\.(m?)[jt]s(?:\.map)?$/.exec(output) ?? []
  return stem !== undefined && !isAssembly(output) && existsSync(at(`${stem}.${module}ts`))
}
