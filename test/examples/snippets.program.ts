/**
 * Runs the blocks of the documentation's pages one after another on the host device: `node snippets.program.js FOLDER`. Each block is
 * a module of the folder, listed in `blocks.json`; what became of it is written to `results.json`. A block finds the things that
 * its page takes as given as globals, which are made when it first uses them.
 */

import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { formatWithOptions } from "node:util"
import { defineKernel, type Device, type DeviceArray, openDevice } from "auxstream"

/** What became of a block. */
export interface SnippetResult {
  readonly name: string
  /** The lines that it printed. */
  readonly printed: readonly string[]
  /** Undefined if it ran to its end; otherwise the code of its error, and the message. */
  readonly code?: string | undefined
  readonly message?: string
}

const [folder = ""] = process.argv.slice(2)
// Its name in the folder is what the pages use for a file of weights: 24 MiB of zeros.
process.chdir(folder)

const scale = defineKernel({
  name: "scale",
  signature: ["int32", "float32", "inout float32*"],
  host: { source: "export function scale(launch, n, factor, x) { for (let i = 0; i < n; i++) x[i] *= factor }" },
})
const saxpy = defineKernel({
  name: "saxpy",
  signature: ["int32", "float32", "in float32*", "inout float32*"],
  host: { source: "export function saxpy(launch, n, a, x, y) { for (let i = 0; i < n; i++) y[i] += a * x[i] }" },
})

/** Makes what the pages take as given, by name. `test/examples/docs.test.ts` declares the same names. */
function makers(device: () => Device): Record<string, () => unknown> {
  const array = (length: number) => () => device().full("float32", length, 1)
  const copy = (x: DeviceArray<"float32">) => device().empty("float32", x.length).copyFrom(x)
  const stream = () => device().createStream()
  const event = () => device().createEvent()
  const nothing = () => () => {}
  const copying = () => copy
  return {
    ...{ device, stream, aux: stream, aux1: stream, aux2: stream },
    ...{ event0: event, event1: event, event2: event, start: event, done1: event, done2: event },
    ...{ fn: nothing, fn0: nothing, fn1: nothing, fn2: nothing },
    // Large enough for the products of blas.md.
    ...{ x: array(8 * 2048), y: array(8 * 5632), weights: array(2048 * 5632) },
    ...{
      scale: () => scale,
      saxpy: () => saxpy,
      library: () => ({ run() {} }),
      load: () => async () => new Float32Array(8 * 2048),
    },
    ...{ multiply: copying, add: copying, experts: copying, sharedExpert: copying },
    ...{ normQ: copying, normK: copying, normV: copying },
  }
}

/** Defines the globals for one block. A device is open, unless the block opens its own. */
function give(code: string): void {
  let opened: Device | undefined
  const device = () => (opened ??= openDevice("host"))
  if (!code.includes("openDevice(")) device()
  for (const [name, make] of Object.entries(makers(device))) {
    let made: unknown
    Object.defineProperty(globalThis, name, { configurable: true, get: () => (made ??= make()) })
  }
}

/** Closes the device, however often the block opened it, so that each block finds it closed. */
function close(): void {
  const device = openDevice("host")
  while (!device.disposed) device.dispose()
}

async function run(name: string): Promise<SnippetResult> {
  const printed: string[] = []
  const log = (...values: unknown[]) => void printed.push(formatWithOptions({ colors: false }, ...values))
  Object.assign(console, { log })
  const path = join(folder, `${name}.js`)
  give(readFileSync(path, "utf8"))
  try {
    await import(pathToFileURL(path).href)
    return { name, printed }
  } catch (error) {
    const { code, message } = error as { readonly code?: string; readonly message: string }
    return { name, printed, code: code ?? "", message }
  } finally {
    close()
  }
}

const results: SnippetResult[] = []
for (const name of JSON.parse(readFileSync(join(folder, "blocks.json"), "utf8")) as string[]) {
  results.push(await run(name))
}
writeFileSync(join(folder, "results.json"), JSON.stringify(results))
// Some blocks leave things open on purpose: a trace, a subscriber, a server's device.
process.exit()
