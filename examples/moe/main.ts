/**
 * The main job of this project: mixture-of-experts layers, timed one after the other and side by side.
 *
 * See model.ts for the layer itself, which is where the library is used.
 */

import { availableParallelism, freemem } from "node:os"
import { setImmediate as nextTurn } from "node:timers/promises"
import { AuxstreamError, type Device, openDevice } from "auxstream"
import { measureAccuracy } from "./accuracy.js"
import { readInput, type Input } from "./input.js"
import { allEqual, Bench, medians, type Round } from "./measure.js"
import { Model } from "./model.js"
import { help, type Options, parseOptions, UsageError } from "./options.js"
import { Progress } from "./progress.js"
import { makeReport, type Report, reportText } from "./report.js"
import { defaults, type Sizes, sizesFor, weightBytes } from "./sizes.js"
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
    const report = await runOn(openNamedDevice(options), options, interrupted.signal)
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
  const accuracy = await measureAccuracy(bench.output(), input.tokens, sizes, async () => {
    progress.step()
    await nextTurn()
    signal.throwIfAborted()
  })
  return makeReport({
    device: { id: device.id, name: device.name, threads: threadsOf(device) },
    input: { name: input.name, fileBytes: input.fileBytes },
    sizes,
    rounds: ROUNDS,
    milliseconds: medians(timed),
    checks: { parallelEqualsSequential: allEqual(timed), reference: accuracy },
  })
}

function openNamedDevice(options: Options): Device {
  try {
    return openDevice(options.device)
  } catch (error) {
    if (error instanceof AuxstreamError) throw new UsageError(error.message, { cause: error })
    throw error
  }
}

/** Refuses what would not fit before gigabytes are filled. A CUDA device says so itself. */
function checkMemory(device: Device, sizes: Sizes): void {
  if (device.kind !== "host") return
  const needed = weightBytes(sizes)
  const room = 0.95 * Math.min(4 * 2 ** 30, freemem())
  if (needed <= room) return
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`
  throw new UsageError(
    `The weights of ${sizes.layers} layers take ${gigabytes(needed)}, and the host device has room for ${gigabytes(room)}; ask for fewer.`,
  )
}

/** As many as the library starts unless told otherwise; see `openDevice`. */
function threadsOf(device: Device): number | null {
  if (device.kind !== "host") return null
  return Number(process.env["AUXSTREAM_HOST_THREADS"] || Math.max(2, availableParallelism()))
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
