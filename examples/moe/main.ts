/**
 * The main job of this project: times mixture-of-experts layers in sequence and side by side, eager and captured as
 * graphs.
 *
 * See model.ts for the layer itself, which uses the library.
 */

import { setImmediate as nextTurn } from "node:timers/promises"
import { AuxstreamError, type Device } from "auxstream"
import { checkedLayers, measureAccuracy } from "./accuracy.js"
import { checkMemory, openNamedDevice, threadsOf } from "./device.js"
import { readInput, type Input } from "./input.js"
import { allEqual, Bench, medians, type Round } from "./measure.js"
import { Model } from "./model.js"
import { OtherProcesses } from "./other-processes.js"
import { help, type Options, parseOptions, UsageError } from "./options.js"
import { Progress } from "./progress.js"
import { makeReport, type Report, reportText } from "./report.js"
import { defaults, type Sizes, sizesFor } from "./sizes.js"
import { makeWeights } from "./weights.js"

/** A GPU needs a longer warm-up. It takes milliseconds for what takes threads a second. */
const rounds = { host: { warmUps: 1, timed: 4 }, cuda: { warmUps: 5, timed: 25 } }

/** A policy needs at most 110 calls. A pass has one for each layer, and one launch of a graph. */
const MOST_DECIDING = 112

/** Printed at the start. True for the default sizes. */
const duration = {
  host: "This takes about a minute on two idle cores.",
  cuda: "This takes about 15 seconds.",
}

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

/** Closes the device whatever happens. */
async function runOn(device: Device, options: Options, signal: AbortSignal): Promise<Report> {
  try {
    const input = readInput(options.input, options.tokens, defaults(device.kind).tokens)
    const layers = options.layers ?? defaults(device.kind).layers
    const sizes = sizesFor(device.kind, layers, input.tokens.length)
    checkMemory(device, sizes)
    if (!options.json) process.stderr.write(`${duration[device.kind]}\n`)
    const { warmUps, timed } = rounds[device.kind]
    const progress = new Progress(2 + warmUps + timed + checkedLayers(layers).length, !options.json)
    try {
      return await run({ device, input, sizes, fewer: options.layers === undefined, progress, signal })
    } finally {
      progress.end()
    }
  } finally {
    device.dispose()
  }
}

interface Run {
  readonly device: Device
  readonly input: Input
  readonly sizes: Sizes
  /** Whether the run may use fewer layers if memory is short. */
  readonly fewer: boolean
  readonly progress: Progress
  readonly signal: AbortSignal
}

async function run({ device, input, sizes: wanted, fewer, progress, signal }: Run): Promise<Report> {
  progress.begin("Filling the weights")
  const weights = makeWeights(device, wanted, fewer)
  const sizes = { ...wanted, layers: weights.layers.length }
  const bench = new Bench(device, new Model(device, sizes, weights), device.from(input.tokens), signal)
  await device.defaultStream.completed({ signal })
  progress.step()

  const repeat = async (activity: string, count: number) => {
    progress.begin(activity)
    const done: Round[] = []
    for (; done.length < count; progress.step()) done.push(await bench.round())
    return done
  }
  const { warmUps, timed } = rounds[device.kind]
  await repeat("Warming up", warmUps)
  progress.begin("Measuring whether to overlap")
  const decided = await bench.decide(MOST_DECIDING)
  progress.step()
  const others = new OtherProcesses()
  const done = await repeat("Timing", timed)
  const othersShare = others.share()

  progress.begin("Computing the float64 reference")
  const layerDone = async () => {
    progress.step()
    await nextTurn()
    signal.throwIfAborted()
  }
  const accuracy = await device.scope(() => measureAccuracy(bench, input.tokens, sizes, layerDone))
  const eager = done.flatMap((round) => round.eager)
  const captured = done.flatMap((round) => round.captured)
  const { nodeCount, branchCount } = bench.graphs.parallel
  return makeReport({
    device: { id: device.id, name: device.name, threads: threadsOf(device) },
    input: { name: input.name, fileBytes: input.fileBytes },
    sizes,
    layersThatFit: sizes.layers < wanted.layers ? sizes.layers : null,
    rounds: timed,
    milliseconds: medians(done),
    othersShare,
    graph: { nodes: nodeCount, branches: branchCount },
    decided: { eager: decided.eager ?? null, captured: decided.captured ?? null },
    checks: {
      parallelEqualsSequential: allEqual(eager),
      capturedEqualsEager: allEqual([...eager, ...captured]),
      reference: accuracy,
    },
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
