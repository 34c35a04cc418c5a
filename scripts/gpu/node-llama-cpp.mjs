/** Packs node-llama-cpp with its CUDA binary for Linux x64, which tests run beside this library. */

import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { at, npm } from "../lib/project.mjs"
import { archive, inScratch } from "./archive.mjs"
import { fetchPackage } from "./fetch-package.mjs"

/**
 * This version has machine code for compute capability 8.6, 8.9 and 9.0, and PTX of CUDA 13.0 for others. From 3.17 on, the
 * PTX is of CUDA 13.1, which a driver for CUDA 13.0 refuses, and code for 9.0 is missing.
 */
const version = "3.14.0"
const binary = "@node-llama-cpp/linux-x64-cuda"
const cache = at("node_modules/.cache/gpu")

/** Whether a file is loaded at run time. The rest is types, source maps, documentation, and the sources of llama.cpp. */
const isRun = (path) => /\.([cm]?js|json|node|so)$/.test(path)
/** The libraries for single kinds of processors. One that runs everywhere is enough, because the model is on the GPU. */
const isNeedless = (path) => /libggml-cpu-(?!x64\.so$)|node-llama-cpp\/templates\//.test(path)

/** Returns the path of an archive of a folder with `node_modules`. It is made once for each version. */
export function archiveNodeLlamaCpp() {
  const name = `node-llama-cpp-${version}`
  const kept = join(cache, `${name}.tar.xz`)
  if (existsSync(kept)) return kept
  mkdirSync(cache, { recursive: true })
  return archive(cache, name, (scratch) => inScratch((installed) => stage(installed, scratch)))
}

function stage(installed, scratch) {
  const only = ["--ignore-scripts", "--omit=optional", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
  if (npm(["install", "--prefix", installed, ...only, `node-llama-cpp@${version}`])) {
    throw new Error("Could not install node-llama-cpp from the npm registry")
  }
  const to = join(scratch, "node_modules")
  copyRun(join(installed, "node_modules"), to)
  inScratch((fetched) => copyRun(fetchPackage(`${binary}@${version}`, fetched), join(to, binary)))
}

function copyRun(from, to) {
  const paths = readdirSync(from, { recursive: true }).filter((path) => isRun(path) && !isNeedless(path))
  for (const path of paths.filter((path) => statSync(join(from, path)).isFile())) {
    mkdirSync(dirname(join(to, path)), { recursive: true })
    copyFileSync(join(from, path), join(to, path))
  }
}
