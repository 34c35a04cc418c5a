/** Starts the processes of all measured libraries. */

import { mkdirSync } from "node:fs"
import { join, parse } from "node:path"
import { fileURLToPath } from "node:url"
import { Peer } from "./peer.js"
import { runProgram, tail, toolkitProgram } from "./programs.js"

/** Their names, as in the report. */
export const ours = "auxstream"
export const peerNames = [ours, "C++", "PyTorch", "cuda.core", "CuPy"] as const
export type PeerName = (typeof peerNames)[number]

/** The available peers, and why others are not. */
export interface Peers {
  readonly present: readonly Peer[]
  readonly absent: readonly { readonly peer: string; readonly reason: string }[]
}

const beside = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const folder = beside("peers")

/** Importing PyTorch from a cold disk is slow. */
const startSeconds = 120

const makeOurs = () => new Peer(ours, process.execPath, [beside("ours/main.js")])

/** Starts another process of this benchmark, for measurements that need a fresh one. The caller must end it. */
export async function startOurs(): Promise<Peer> {
  const peer = makeOurs()
  await peer.start(startSeconds)
  return peer
}

/**
 * Builds and starts all.
 *
 * @param scratch a folder for build outputs
 */
export async function startPeers(scratch: string): Promise<Peers> {
  mkdirSync(scratch, { recursive: true })
  const [kernels, layerKernels, program] = await Promise.all([
    compileKernels(scratch, "kernels"),
    compileKernels(scratch, "expert-layer"),
    compileProgram(scratch, "driver.cpp"),
  ])
  const python = (script: string) => (name: PeerName) =>
    new Peer(name, "python3", [join(folder, script), kernels.path], {
      PYTHONUNBUFFERED: "1",
      PYTHONDONTWRITEBYTECODE: "1",
    })
  const makers: [PeerName, (name: PeerName) => Peer][] = [
    [ours, makeOurs],
    ["C++", (name) => new Peer(name, program.path, [kernels.path, layerKernels.path])],
    ["PyTorch", python("torch_peer.py")],
    ["cuda.core", python("cuda_core_peer.py")],
    ["CuPy", python("cupy_peer.py")],
  ]
  const started = makers.map(async ([name, make]) => {
    const peer = make(name)
    const reason = await peer.start(startSeconds)
    return { peer, reason: reason === undefined ? undefined : `${reason} ${built(name, kernels, program)}`.trim() }
  })
  const all = await Promise.all(started)
  return {
    present: all.filter(({ reason }) => reason === undefined).map(({ peer }) => peer),
    absent: all.flatMap(({ peer, reason }) => (reason === undefined ? [] : [{ peer: peer.name, reason }])),
  }
}

/** The result of a compilation. */
export interface Built {
  readonly path: string
  /** The compiler's error output. */
  readonly problem: string
}

function built(name: PeerName, kernels: Built, program: Built): string {
  if (name === ours || name === "PyTorch") return ""
  return name === "C++" ? `${program.problem} ${kernels.problem}` : kernels.problem
}

/** PTX for the oldest supported architecture would run everywhere, but lacks bfloat16 instructions. */
async function compileKernels(scratch: string, name: string): Promise<Built> {
  const path = join(scratch, `${name}.ptx`)
  return compile(path, ["-ptx", "-arch=compute_80", "-o", path, join(folder, `${name}.cu`)])
}

/** Compiles a program of the peers' folder. */
export async function compileProgram(scratch: string, source: string): Promise<Built> {
  mkdirSync(scratch, { recursive: true })
  const path = join(scratch, parse(source).name)
  return compile(path, ["-O2", "-std=c++17", "-o", path, join(folder, source), "-ldl"])
}

async function compile(path: string, args: readonly string[]): Promise<Built> {
  const { status, output } = await runProgram(toolkitProgram("nvcc"), args, { seconds: 90 })
  return { path, problem: status === 0 ? "" : `nvcc says: ${tail(output)}` }
}
