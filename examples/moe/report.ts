/** The report that a run prints at its end. */

import type { Accuracy } from "./accuracy.js"
import type { Measurement } from "./measure.js"
import { operations, published, type Sizes, weightBytes } from "./sizes.js"

/** What `--json` prints. Times are in milliseconds, medians over the rounds. */
export interface Report {
  readonly device: { readonly id: string; readonly name: string; readonly threads: number | null }
  readonly node: string
  readonly input: { readonly name: string; readonly fileBytes: number }
  readonly sizes: Sizes
  /** How many layers fit into the device's memory, if fewer than requested; otherwise null. */
  readonly layersThatFit: number | null
  /** Which part of the published model and of the input the run used. */
  readonly kept: string
  readonly weightBytes: number
  readonly rounds: number
  readonly milliseconds: Measurement
  /** The share of the machine's processor time that other processes used during the timed rounds, from 0 to 1. */
  readonly othersShare: number
  /** Operations and streams of the graph of the side-by-side pass. */
  readonly graph: { readonly nodes: number; readonly branches: number }
  /** Which way the policy chose for the measured passes; null if it needs more of them. */
  readonly decided: Readonly<Record<"eager" | "captured", "parallel" | "sequential" | null>>
  /** Sequential time ÷ parallel time, by hand. */
  readonly speedUp: number
  /** The same ratio for the graphs. */
  readonly capturedSpeedUp: number
  /** (sequential − parallel) ÷ (sequential − longer branch). */
  readonly overlapShare: number
  readonly parallelOverLonger: number
  /** Floating-point operations per second of the sequential pass, in 10⁹. */
  readonly gigaflops: number
  readonly checks: {
    readonly parallelEqualsSequential: boolean
    readonly capturedEqualsEager: boolean
    readonly reference: Accuracy
  }
  readonly passed: boolean
}

/** Puts the figures together. */
export function makeReport(
  facts: Pick<
    Report,
    | "device"
    | "input"
    | "sizes"
    | "layersThatFit"
    | "rounds"
    | "milliseconds"
    | "othersShare"
    | "graph"
    | "decided"
    | "checks"
  >,
): Report {
  const { sizes, layersThatFit, input, milliseconds, checks } = facts
  const { sequential, parallel, capturedSequential, capturedParallel, longer } = milliseconds
  return {
    ...facts,
    node: process.version,
    kept: keptText(sizes, layersThatFit, input),
    weightBytes: weightBytes(sizes),
    speedUp: sequential / parallel,
    capturedSpeedUp: capturedSequential / capturedParallel,
    overlapShare: (sequential - parallel) / (sequential - longer),
    parallelOverLonger: parallel / longer,
    gigaflops: operations(sizes) / sequential / 1e6,
    passed: checks.parallelEqualsSequential && checks.capturedEqualsEager && checks.reference.passed,
  }
}

function keptText(sizes: Sizes, layersThatFit: number | null, input: Report["input"]): string {
  const why = layersThatFit === null ? "" : " (more do not fit into the device's memory)"
  return (
    `kept ${sizes.experts} of ${published.experts} experts, ${sizes.layers} of ${published.layers} layers${why}, ` +
    `no attention; ${sizes.tokens} of ${input.fileBytes} bytes of ${input.name}`
  )
}

/** The report for people. */
export function reportText(report: Report): string {
  const { device, sizes, milliseconds: ms, graph, checks } = report
  const { reference } = checks
  const times = (...values: readonly number[]) =>
    values.map((value) => `${milliseconds(value)} ms`.padStart(11)).join("")
  const factors = (...values: readonly number[]) =>
    values.map((value) => `${value.toFixed(2)} × `.padStart(11)).join("")
  const threads = device.threads === null ? "" : `, ${device.threads} threads`
  return `
Mixture-of-experts layers of Qwen1.5-MoE-A2.7B: hidden ${sizes.hidden}, top ${sizes.topK} of ${sizes.experts} experts of ${sizes.expert}, shared expert ${sizes.shared}
  ${report.kept}
  weights     ${(report.weightBytes / 1e6).toFixed(0)} MB of bfloat16 from a fixed seed
  device      ${device.id}: ${device.name}${threads}, Node.js ${report.node}

                          eager   captured
In sequence         ${times(ms.sequential, ms.capturedSequential)}   routed experts ${milliseconds(ms.routed)} ms, shared expert ${milliseconds(ms.shared)} ms, ${report.gigaflops.toFixed(1)} GFLOP/s
Side by side        ${times(ms.parallel, ms.capturedParallel)}   medians of ${report.rounds} rounds
autoParallel        ${times(ms.automatic, ms.capturedAutomatic)}   written in sequence, placed by the library
As measured         ${times(ms.measured, ms.capturedMeasured)}   ${decidedText(report)}
Longer branch alone ${times(ms.longer)}              side by side takes ${report.parallelOverLonger.toFixed(3)} × as long (eager)
Speed-up            ${factors(report.speedUp, report.capturedSpeedUp)}   ${overlapText(report)}
Queueing a pass     ${times(ms.queueing, ms.capturedQueueing)}   ${graph.nodes} operations on ${graph.branches} streams, or one launch of the graph
${busyText(report)}
${mark(checks.parallelEqualsSequential)} all four ways give the same bits, in every round
${mark(checks.capturedEqualsEager)} captured, all four give the same bits as eager, in every round
${referenceText(reference)}
`
}

/** What the policy of the measured passes chose. */
function decidedText({ decided: { eager, captured } }: Report): string {
  const words = { parallel: "side by side", sequential: "in sequence" }
  const of = (mode: typeof eager) => (mode === null ? "not decided yet" : words[mode])
  return eager === captured
    ? `the policy chose: ${of(eager)}`
    : `the policy chose: ${of(eager)}; captured, ${of(captured)}`
}

/** Where side by side was no faster than in sequence, a share would be negative. */
function overlapText({ overlapShare }: Report): string {
  return overlapShare > 0
    ? `${(100 * overlapShare).toFixed(0)} % of the possible overlap`
    : "none of the possible overlap"
}

/** Says how busy the machine was if less than half of the possible overlap was reached. */
function busyText({ overlapShare, othersShare }: Report): string {
  if (overlapShare >= 0.5) return ""
  const advice = othersShare < 0.1 ? "" : "; repeat this on an idle machine"
  return `\nLittle overlap. Other processes used ${Math.round(100 * othersShare)} % of the processor time meanwhile${advice}.\n`
}

function referenceText({ passed, tokens, layers, largestError, tolerance, steps }: Accuracy): string {
  const sample = `${counted(tokens, "token")} in ${counted(layers.length, "layer")}`
  const errors = `largest relative error ${exponent(largestError)}, allowed ${exponent(tolerance)}`
  const line = `${mark(passed)} float64 reference, ${sample}: ${errors}`
  if (passed) return line
  const details = steps.map((step) => {
    const where = `largest in layer ${step.layer}, allowed ${exponent(step.tolerance)}`
    return `  ${mark(step.passed)} ${step.step}: error ${exponent(step.largestError)}, ${where}`
  })
  return [line, ...details].join("\n")
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`
}

function exponent(value: number): string {
  return value.toExponential(1)
}

function milliseconds(value: number): string {
  return value.toFixed(value < 100 ? 2 : 1)
}

function mark(passed: boolean): string {
  return passed ? "✓" : "✗ FAILED:"
}
