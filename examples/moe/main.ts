/**
 * The main job of this project: mixture-of-experts layers, timed one after the other and side by side.
 *
 * See model.ts for the layer itself, which is where the library is used.
 */

import { setImmediate as nextTurn } from "node:timers/promises"
import { AuxstreamError, type Device } from "auxstream"
import { measureAccuracy } from "./accuracy.js"
import { checkMemory, openNamedDevice, threadsOf } from "./device.js"
import { readInput, type Input } from "./input.js"
import { allEqual, Bench, medians, type Round } from "./measure.js"
import { Model } from "./model.js"
import { help, type Options, parseOptions, UsageError } from "./options.js"
import { Progress } from "./progress.js"
import { makeReport, type Report, reportText } from "./report.js"
import { defaults, type Sizes, sizesFor } from "./sizes.js"
import { makeWeights } from "./weights.js"

const WARM_UPS = 2
const ROUNDS = 5

/** Runs the program. Gives its exit code. */
async function main(args: readonly string[]): Promise<number> {
  const interrupted = new AbortController()
  const interrupt = () => interrupted.abort()
  process.once("SIGINT", interrupt)
  try {
    const options = parseOptions(args)
    if (options.help) return print(help)
    const report = await runOn(openNamedDevice(options.device), options, interrupted.signal)
    print(options.json ? JSON.stringify(report) : reportText(report))
    return report.passed ? 0 : 1
  } catch (error) {
    return exitCodeOf(error, interrupted.signal)
  } finally {
    process.off("SIGINT", interrupt)
  }
}

/** The device is closed whatever happens. */
async function runOn(device: Device, options: Options, signal: AbortSignal): Promise<Report> {
  try {
    const input = readInput(options.input, options.tokens, defaults(device.kind).tokens)
    const layers = options.layers ?? defaults(device.kind).layers
    const sizes = sizesFor(device.kind, layers, input.tokens.length)
    checkMemory(device, sizes)
    const progress = new Progress(1 + WARM_UPS + ROUNDS + layers, !options.json)
    try {
      return await run(device, input, sizes, progress, signal)
    } finally {
      progress.end()
    }
  } finally {
    device.dispose()
  }
}

async function run(
  device: Device,
  input: Input,
  sizes: Sizes,
  progress: Progress,
  signal: AbortSignal,
): Promise<Report> {
  progress.begin("Filling the weights")
  const model = new Model(device, sizes, makeWeights(device, sizes))
  const bench = new Bench(device, model, device.from(input.tokens), signal)
  await device.completed()
  progress.step()

  const rounds = async (activity: string, count: number) => {
    progress.begin(activity)
    const done: Round[] = []
    for (; done.length < count; progress.step()) done.push(await bench.round())
    return done
  }
  await rounds("Warming up", WARM_UPS)
  const timed = await rounds("Timing", ROUNDS)

  progress.begin("Computing the float64 reference")
  const layerDone = async () => {
    progress.step()
    await nextTurn()
    signal.throwIfAborted()
  }
  const accuracy = await device.scope(() => measureAccuracy(bench.output(), input.tokens, sizes, layerDone))
  return makeReport({
    device: { id: device.id, name: device.name, threads: threadsOf(device) },
    input: { name: input.name, fileBytes: input.fileBytes },
    sizes,
    rounds: ROUNDS,
    milliseconds: medians(timed),
    checks: { parallelEqualsSequential: allEqual(timed), reference: accuracy },
  })
}

const userMistakes = new Set(["AUX_OUT_OF_MEMORY", "AUX_DEVICE_UNAVAILABLE", "AUX_KERNEL_UNAVAILABLE"])

function exitCodeOf(error: unknown, signal: AbortSignal): number {
  if (signal.aborted) {
    process.stderr.write("Stopped.\n")
    return 130
  }
  if (error instanceof UsageError || (error instanceof AuxstreamError && userMistakes.has(error.code))) {
    process.stderr.write(`${error.message}\n`)
    return 2
  }
  throw error
}

function print(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

process.exitCode = await main(process.argv.slice(2))
