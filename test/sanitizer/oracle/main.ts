/**
 * Runs random programs for a time and prints what they were. The exit code is 1 if the sanitizer and the model disagree.
 *
 *     node build/test/sanitizer/oracle/main.js --device cuda:0 --seconds 10
 *     node build/test/sanitizer/oracle/main.js --device host --programs 100000 --seed 1
 *     node build/test/sanitizer/oracle/main.js --double --device cuda:0,cuda:1 --seconds 60 --way fixes
 *
 * --device   one or two devices, such as `host,cuda:0`; default: host
 * --double   takes the double of the CUDA driver instead of a GPU
 * --way      `reports` (default), `fixes` or `waits`
 * --programs, --seconds, --seed   how many programs, for how long, and the seed of the first one
 * --kept     one sanitizer for all programs, so that it must forget finished work
 * --no-shrink   prints the first program that fails as it is
 */
import { inspect, parseArgs } from "node:util"
import { openDevice } from "../../../src/index.js"
import { Checks } from "./check.js"
import { Disagreement, noCounts } from "./run/judge.js"
import { programOf } from "./generate.js"
import type { Program } from "./program.js"
import { shrunk } from "./shrink.js"
import { World } from "./run/world.js"

const { values } = parseArgs({
  allowNegative: true,
  options: {
    device: { type: "string", default: "host" },
    double: { type: "boolean", default: false },
    way: { type: "string", default: "reports" },
    programs: { type: "string", default: "1000000000" },
    seconds: { type: "string", default: "1000000000" },
    seed: { type: "string", default: "1" },
    kept: { type: "boolean", default: false },
    shrink: { type: "boolean", default: true },
  },
})
if (values.double) {
  const { double } = await import("../../cuda/double.js")
  double.setDevices(2)
}
const checks = new Checks(values.kept)
const counts = noCounts()

function check(program: Program, worlds: readonly World[]): Promise<unknown> {
  if (values.way === "fixes") return checks.fixes(worlds, program, counts)
  if (values.way === "waits") return checks.waits(worlds, program, counts)
  return checks.reports(worlds, program, counts)
}

/** The devices with what programs use there. */
class Stage {
  readonly #devices = values.device.split(",").map((id) => {
    if (id === "host") return openDevice("host", { threads: 2 })
    return openDevice(id === "cuda:1" ? "cuda:1" : "cuda:0")
  })
  readonly #worlds = this.#devices.map((device, number) => new World(device, number))

  /** Why a program fails; undefined if it does not. */
  async failure(program: Program): Promise<unknown> {
    try {
      await check(program, this.#worlds)
      return undefined
    } catch (error) {
      return error
    }
  }

  [Symbol.dispose](): void {
    for (const thing of [...this.#worlds, ...this.#devices]) thing[Symbol.dispose]()
  }
}

/** On new devices, because what happens also depends on streams of the pool, and on graphs that have shared arrays. */
async function failureAlone(program: Program): Promise<unknown> {
  using stage = new Stage()
  return await stage.failure(program)
}

/** What a disagreement is about: the words before the first colon. If several functions failed, of the first one. */
function kindOf(error: unknown): string | undefined {
  if (error instanceof AggregateError) return error.errors.map(kindOf).find((kind) => kind !== undefined)
  return error instanceof Disagreement ? error.message.split(":")[0] : undefined
}

function say(...words: readonly unknown[]): void {
  process.stdout.write(`${words.map((word) => (typeof word === "string" ? word : inspect(word))).join(" ")}\n`)
}

async function explain(program: Program, error: unknown): Promise<void> {
  say(`seed ${program.seed}:`, error)
  if (!values.shrink) return
  const smallest = await shrunk(program, async (candidate) => {
    const other = await failureAlone(candidate)
    return other !== undefined && kindOf(other) === kindOf(error)
  })
  say("smallest:", inspect(smallest.statements, { depth: 20, breakLength: 120 }), await failureAlone(smallest))
}

const begin = performance.now()
const first = Number(values.seed)
const end = begin + 1000 * Number(values.seconds)
let programs = 0
let failed: { readonly program: Program; readonly error: unknown } | undefined
{
  using stage = new Stage()
  for (; failed === undefined && programs < Number(values.programs) && performance.now() < end; programs++) {
    const program = programOf(first + programs)
    const error = await stage.failure(program)
    if (error !== undefined) failed = { program, error }
  }
}
const seconds = (performance.now() - begin) / 1000
const result = JSON.stringify({ device: values.device, way: values.way, first, programs, seconds, ...counts })
if (failed !== undefined) {
  process.exitCode = 1
  await explain(failed.program, failed.error)
}
say(result)
checks.end()
