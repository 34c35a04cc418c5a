/**
 * Made-up traces, repeatable by their seed, in the shape of a mixture-of-experts model that decodes: fork-joins eager and inside
 * graphs, waits sent and skipped, a conditional with iterations, host calls, two devices.
 */

import type {
  SpanKind,
  TraceCall,
  TraceData,
  TracedStream,
  TraceRegion,
  TraceSpan,
  TraceWait,
} from "../../src/trace/data/data.js"
import type { TraceFigures } from "../../src/trace/data/figures.js"
import { numbersFrom } from "./random.js"

export interface SyntheticOptions {
  readonly seed?: number
  /** About how many operations. */
  readonly spans?: number
  /** Streams beside the main and aux stream of the first device. */
  readonly extraStreams?: number
}

/** A trace of about as many operations as asked for. */
export function syntheticTrace({ seed = 1, spans = 400, extraStreams = 0 }: SyntheticOptions = {}): TraceData {
  const program = new SyntheticProgram(seed, extraStreams)
  for (let step = 0; program.spans.length < spans; step++) program.decodeStep(step)
  return program.finish()
}

type Change<T> = { -readonly [Key in keyof T]: T[Key] }

interface Launch {
  readonly name: string
  readonly kind?: SpanKind
  /** Nanoseconds. */
  readonly time: number
}

const GPU_STREAMS = { main: 0, aux: 1, branch: 2, copies: 3 }
const HOST_STREAMS = { main: 4, aux: 5 }

class SyntheticProgram {
  readonly spans: Change<TraceSpan>[] = []
  readonly #waits: TraceWait[] = []
  readonly #regions: Change<TraceRegion>[] = []
  readonly #calls: TraceCall[] = []
  readonly #streams: TracedStream[] = [
    { device: 0, id: 1, name: "default stream" },
    { device: 0, id: 2, name: "aux" },
    { device: 0, name: "branch 1 of graph decode" },
    { device: 0, id: 3, name: "copies" },
    { device: 1, id: 1, name: "default stream" },
    { device: 1, id: 2, name: "aux" },
  ]
  readonly #random: (below: number) => number
  readonly #ends: number[]
  /** The host's time. */
  #now = 20_000
  #region: number | undefined

  constructor(seed: number, extraStreams: number) {
    this.#random = numbersFrom(seed)
    for (let extra = 0; extra < extraStreams; extra++)
      this.#streams.push({ device: 0, id: 10 + extra, name: `pool ${extra + 1}` })
    this.#ends = this.#streams.map(() => 0)
  }

  decodeStep(step: number): void {
    this.#launch(GPU_STREAMS.copies, { name: "upload", kind: "upload", time: 9_000 })
    this.#wait(GPU_STREAMS.copies, GPU_STREAMS.main, true)
    this.#launch(GPU_STREAMS.main, { name: "embed", time: 3_000 })
    for (let layer = 0; layer < 3; layer++) this.#layer(step, layer)
    this.#graph()
    this.#hostStep(step)
    for (let stream = 6; stream < this.#streams.length; stream++) {
      this.#launch(stream, { name: `lora_${stream % 7}`, time: 4_000 + this.#random(30_000) })
    }
    this.#launch(GPU_STREAMS.main, { name: "logits", kind: "matmul", time: 30_000 })
    this.#launch(GPU_STREAMS.main, { name: "read", kind: "read", time: 4_000 })
    this.#synchronize("array.read", this.#ends[GPU_STREAMS.main] ?? 0)
  }

  #layer(step: number, layer: number): void {
    const { main, aux } = GPU_STREAMS
    this.#forkJoin("maybeExecuteInParallel", main, aux, {
      main: [{ name: "query_norm", time: 5_000 }],
      aux: [{ name: "key_norm", time: 4_000 }],
    })
    this.#launch(main, { name: "attention", time: 18_000 })
    this.#launch(main, { name: "router", time: 4_000 })
    this.#forkJoin(
      "maybeExecuteInParallel",
      main,
      aux,
      {
        main: [
          { name: "gate_up_experts", kind: "matmul", time: 42_000 },
          { name: "silu_and_multiply", time: 6_000 },
          { name: "down_experts", kind: "matmul", time: 31_000 },
        ],
        aux: [
          { name: "gate_up_shared", kind: "matmul", time: 33_000 },
          { name: "silu_and_multiply", time: 5_000 },
          { name: "down_shared", kind: "matmul", time: 22_000 },
        ],
      },
      (step + layer) % 5 === 4 ? "policy" : "parallel",
    )
    this.#launch(main, { name: "fill", kind: "fill", time: 2_000 })
  }

  /** One launch of a graph whose nodes run on its stream and on a branch, with a loop of three iterations at its end. */
  #graph(): void {
    const { main, branch } = GPU_STREAMS
    this.#now += 3_000
    const queued = this.#now
    const start = Math.max(this.#now + 6_000, this.#ends[main] ?? 0)
    const parent = this.spans.length
    this.spans.push({ stream: main, kind: "graph", name: "decode", queued, start, end: start })
    let time = start + 500
    const node = (stream: number, name: string, from: number, length: number, extra: Partial<TraceSpan> = {}) => {
      const end = from + length + this.#random(1_000)
      this.spans.push({ stream, kind: "node", name, queued, start: from, end, parent, ...extra })
      return end
    }
    for (let layer = 0; layer < 3; layer++) {
      const side = node(branch, "shared_experts", time, 26_000)
      time = Math.max(side, node(main, "routed_experts", time, 31_000)) + 300
    }
    const loop = this.spans.length
    this.spans.push({ stream: main, kind: "conditional", name: "while", queued, start: time, end: time, parent })
    for (let iteration = 0; iteration < 3; iteration++) time = node(main, "sample", time, 7_000, { iteration })
    for (const index of [loop, parent]) this.#end(index, time)
    this.#ends[main] = time
    this.#ends[branch] = time
  }

  #end(index: number, time: number): void {
    const span = this.spans[index]
    if (span !== undefined) span.end = time
  }

  #hostStep(step: number): void {
    const { main, aux } = HOST_STREAMS
    const time = () => 50_000 + this.#random(60_000)
    this.#forkJoin(
      "executeInParallel",
      main,
      aux,
      { main: [{ name: "tokenize", time: time() }], aux: [{ name: "sample_penalty", time: time() }] },
      step % 3 === 2 ? "disabled" : "parallel",
    )
  }

  #forkJoin(
    name: string,
    main: number,
    aux: number,
    functions: { readonly main: readonly Launch[]; readonly aux: readonly Launch[] },
    reason = "parallel",
  ): void {
    const mode = reason === "parallel" ? "parallel" : "sequential"
    const index = this.#regions.length
    const device = this.#streams[main]?.device ?? 0
    const start = this.#now
    const streams = mode === "parallel" ? [main, aux] : [main]
    this.#regions.push({ name, device, mode, reason, called: { start, end: start }, streams })
    this.#region = index
    const from = this.spans.length
    for (const launch of functions.main) this.#launch(main, launch)
    if (mode === "parallel") this.#wait(main, aux, true, start)
    for (const launch of functions.aux) this.#launch(mode === "parallel" ? aux : main, launch)
    if (mode === "parallel") this.#wait(aux, main, this.#random(4) > 0)
    this.#region = undefined
    const ran = this.spans.slice(from)
    this.#regions[index] = {
      ...{ name, device, mode, reason, streams },
      called: { start, end: this.#now },
      ran: { start: Math.min(...ran.map((span) => span.start)), end: Math.max(...ran.map((span) => span.end)) },
    }
  }

  #launch(stream: number, { name, kind = "kernel", time }: Launch): void {
    this.#now += 2_000 + this.#random(1_500)
    const start = Math.max(this.#now + 5_000, (this.#ends[stream] ?? 0) + 400 + this.#random(300))
    const end = start + Math.round(time * (0.9 + this.#random(200) / 1000))
    const region = this.#region === undefined ? {} : { region: this.#region }
    const bytes = 4096 * (1 + this.#random(100))
    this.spans.push({ stream, kind, name, queued: this.#now, start, end, bytes, ...region })
    this.#ends[stream] = end
  }

  /** Makes one stream wait for another one's last operation that was queued before a time. */
  #wait(from: number, to: number, sent: boolean, before = Infinity): void {
    this.#now += 500
    const last = this.spans.findLast(
      (span) => span.stream === from && span.queued <= before && span.parent === undefined,
    )
    const time = last?.end ?? this.#now
    const went = Math.max(time, this.#ends[to] ?? 0)
    const region = this.#region === undefined ? {} : { region: this.#region }
    this.#waits.push({ from: { stream: from, time }, to: { stream: to, time: went }, sent, ...region })
    this.#ends[to] = went
  }

  #synchronize(name: string, until: number): void {
    const start = this.#now
    this.#now = Math.max(until, this.#now) + 8_000
    this.#calls.push({ name, thread: 0, start, end: this.#now })
    if (this.#calls.length % 4 === 1)
      this.#calls.push({ name: "prepare", thread: 2, start: start + 700, end: this.#now - 700 })
  }

  finish(): TraceData {
    return {
      format: "auxstream-trace",
      version: 1,
      date: "2026-12-01T12:00:00.000Z",
      machine: { node: "v20.20.2", platform: "linux", cpu: "AMD EPYC 9575F", cores: 16 },
      duration: this.#now + 10_000,
      cost: { total: this.spans.length * 310, operations: this.spans.length },
      devices: [
        { id: "cuda:0", kind: "cuda", name: "NVIDIA H200", times: "cupti", lost: 3 },
        { id: "host", kind: "host", name: "16 worker threads", times: "workers", lost: 0 },
      ],
      streams: this.#streams,
      spans: this.spans,
      waits: this.#waits,
      regions: this.#regions,
      calls: this.#calls,
    }
  }
}

/** Made-up figures for a trace: what an analysis could say of it. */
export function syntheticFigures({ devices, regions, spans }: TraceData): TraceFigures {
  return {
    total: { busy: 18e6, union: 12.8e6, longest: 10.4e6, overlap: 0.684 },
    devices: devices.map((_, device) => ({
      ...{ device, busy: 9e6, union: 6.4e6, longest: 5.2e6, overlap: 0.684 - 0.3 * device },
      idle: { host: 610_000, gaps: 240_000, waits: 130_000, unexplained: 18_000 },
    })),
    regions: regions.map(({ ran, mode }, region) => {
      const union = ran === undefined ? 0 : ran.end - ran.start
      if (mode === "sequential") {
        const lost = [{ why: "sequential" as const, time: Math.round(union * 0.4) }]
        return { region, busy: union, union, longest: union, gained: 0, lost, sequential: union }
      }
      const lost = [
        { why: "unequal branches" as const, time: Math.round(union * 0.2) },
        { why: "launch gaps" as const, time: Math.round(union * 0.05) },
      ]
      return { region, busy: union * 1.7, union, longest: union, overlap: 0.86, gained: Math.round(union * 0.7), lost }
    }),
    criticalPath: [...spans.keys()].filter((index) => index % 2 === 0),
  }
}
