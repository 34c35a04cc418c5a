/**
 * llama.cpp in this process, through the npm package node-llama-cpp: on the GPU beside the CUDA device, or without a GPU on
 * the processor beside the host device, so that the tests themselves run everywhere.
 *
 * The package is no dependency of this project. AUXSTREAM_TEST_LLAMA names the folder where it is installed.
 */
import assert from "node:assert/strict"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { type Device, openDevice } from "../../src/index.js"
import * as kernels from "../support/kernels.js"
import { findGpu } from "./gpu.js"
import { contextLength, tinyLlama, tokenOf } from "./tiny-llama.js"

// Both libraries together have more streams than CUDA's default of 8 hardware queues, so a free stream could be stuck behind
// a held one. CUDA reads this variable when it starts.
process.env["CUDA_DEVICE_MAX_CONNECTIONS"] ??= "32"

/** The parts of the package that the tests use. Tokens are numbers. */
interface Package {
  getLlama(options: {
    gpu: "cuda" | false
    build: "never"
    skipDownload: true
    progressLogs: false
    logLevel: "error"
  }): Promise<PackageLlama>
}
interface PackageLlama {
  readonly gpu: string | false
  loadModel(options: { modelPath: string; gpuLayers: number }): Promise<PackageModel>
  dispose(): Promise<void>
}
interface PackageModel {
  createContext(options: { contextSize: number; threads: number; flashAttention: boolean }): Promise<{
    getSequence(): PackageSequence
  }>
}
interface PackageSequence {
  clearHistory(): Promise<void>
  controlledEvaluate(input: readonly (number | readonly [number, typeof generateNext])[]): Promise<readonly Output[]>
}
type Output = { readonly next: Step } | undefined

/** Greedy, with the probabilities of the whole vocabulary, the likeliest token first. */
const generateNext = { generateNext: { token: true, probabilities: true, options: { temperature: 0 } } } as const

export interface Step {
  readonly token: number
  readonly probabilities: ReadonlyMap<number, number>
}

const prompt = Array.from(Buffer.from("streams beside streams"), tokenOf)
const length = 48

export class TinyLlama {
  readonly #llama: PackageLlama
  readonly #sequence: PackageSequence

  private constructor(llama: PackageLlama, sequence: PackageSequence) {
    this.#llama = llama
    this.#sequence = sequence
  }

  static async open(package_: Package, gpu: "cuda" | false): Promise<TinyLlama> {
    const llama = await package_.getLlama({
      gpu,
      build: "never",
      skipDownload: true,
      progressLogs: false,
      logLevel: "error",
    })
    assert.equal(llama.gpu, gpu)
    const folder = mkdtempSync(join(tmpdir(), "auxstream-llama-"))
    try {
      const modelPath = join(folder, "tiny.gguf")
      writeFileSync(modelPath, tinyLlama())
      const model = await llama.loadModel({ modelPath, gpuLayers: gpu === false ? 0 : 99 })
      const context = await model.createContext({ contextSize: contextLength, threads: 1, flashAttention: false })
      const opened = new TinyLlama(llama, context.getSequence())
      // CUDA loads code at the first launches, so these come before any stream is held.
      await opened.evaluate()
      return opened
    } finally {
      rmSync(folder, { recursive: true })
    }
  }

  /** Generates from the prompt, from its beginning each time: the prompt's tokens in one batch, then one token at a time. */
  async evaluate(): Promise<readonly Step[]> {
    await this.#sequence.clearHistory()
    const steps: Step[] = []
    let input: readonly number[] = prompt
    while (steps.length < length) {
      const last = input.length - 1
      const outputs = await this.#sequence.controlledEvaluate(
        input.map((token, place) => (place === last ? [token, generateNext] : token)),
      )
      const next = outputs[last]?.next
      assert.ok(next !== undefined)
      steps.push(next)
      input = [next.token]
    }
    return steps
  }

  /** The same, with a flag that tells whether it is over. */
  start(): { readonly steps: Promise<readonly Step[]>; readonly isOver: boolean } {
    const evaluation = {
      isOver: false,
      steps: this.evaluate().finally(() => {
        evaluation.isOver = true
      }),
    }
    return evaluation
  }

  async dispose(): Promise<void> {
    await this.#llama.dispose()
  }
}

/** Both libraries for the same device, or why llama.cpp is missing. */
export type Found =
  | { readonly name: string; readonly openLlama: () => Promise<TinyLlama>; readonly openOurs: () => Device }
  | { readonly missing: string }

export function findLlama(): Found {
  const folder = process.env["AUXSTREAM_TEST_LLAMA"]
  if (folder === undefined) {
    const how = "AUXSTREAM_TEST_LLAMA names no folder that node-llama-cpp is installed in: see docs/gpu-run.md."
    return { missing: `NOT TESTED: llama.cpp in the same process. ${how}` }
  }
  const path = join(folder, "node_modules", "node-llama-cpp")
  if (!existsSync(path)) throw new Error(`AUXSTREAM_TEST_LLAMA names ${folder}, where there is no node-llama-cpp`)
  const { version } = JSON.parse(readFileSync(join(path, "package.json"), "utf8")) as { version: string }
  const gpu = process.env["AUXSTREAM_TEST_DEVICE"] === "host" ? undefined : findGpu()
  return {
    name: `node-llama-cpp ${version} on ${gpu ?? "the processor"}`,
    openLlama: async () => {
      const package_ = (await import(pathToFileURL(join(path, "dist", "index.js")).href)) as Package
      return TinyLlama.open(package_, gpu === undefined ? false : "cuda")
    },
    openOurs: gpu === undefined ? () => openDevice("host", { threads: hostThreads }) : openCuda,
  }
}

/** One more than the most latches that a test holds at a time. */
const hostThreads = 3

/** CUDA loads no kernel while a latch is closed, so the kernels that tests launch meanwhile are loaded before. */
function openCuda(): Device {
  const device = openDevice("cuda:0")
  for (const kernel of [kernels.latch, kernels.affine, kernels.combine, kernels.spin]) kernel.load(device)
  return device
}
