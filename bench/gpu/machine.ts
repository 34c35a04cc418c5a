import { existsSync, readFileSync } from "node:fs"
import { availableParallelism, cpus, platform, release, totalmem } from "node:os"
import { listDevices } from "auxstream"
import { runProgram, tail, toolkitProgram } from "./programs.js"
import type { Part } from "./run.js"

const queried =
  "name,driver_version,memory.total,memory.used,clocks.sm,clocks.mem,temperature.gpu,power.draw,compute_cap"
const packages = "torch nvidia-cublas cuda-core cuda-bindings cupy-cuda13x numpy triton".split(" ")
const versionsOf = `
import importlib.metadata as metadata, json, sys
found = {"python": sys.version.split()[0]}
for name in sys.argv[1:]:
    try: found[name] = metadata.version(name)
    except metadata.PackageNotFoundError: found[name] = None
print(json.dumps(found))
`

/** The machine that the figures were measured on. */
export const machine: Part = {
  name: "machine",
  least: 0,
  async run(run) {
    const [smi, python, nvcc, sanitizer] = await Promise.all([
      runProgram("nvidia-smi", [`--query-gpu=${queried}`, "--format=csv,noheader"], { seconds: 30 }),
      runProgram("python3", ["-c", versionsOf, ...packages], { seconds: 30 }),
      runProgram(toolkitProgram("nvcc"), ["--version"], { seconds: 30 }),
      runProgram(toolkitProgram("compute-sanitizer"), ["--version"], { seconds: 30 }),
    ])
    const values = smi.status === 0 ? smi.output.trim().split(", ") : []
    run.machine = {
      commit: await commit(),
      gpu: Object.fromEntries(queried.split(",").map((name, index) => [name, values[index] ?? null])),
      devices: listDevices(),
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: availableParallelism(),
      memoryGigabytes: Math.round(totalmem() / 2 ** 30),
      system: `${platform()} ${release()}`,
      node: process.versions.node,
      koffi: await versionOfKoffi(),
      python: python.status === 0 ? (JSON.parse(python.output) as unknown) : tail(python.output, 1),
      nvcc: tail(nvcc.output, 1),
      computeSanitizer: tail(sanitizer.output, 1),
    }
    return {}
  },
}

/** The commit of the measured code, which a packed copy records in a file. */
async function commit(): Promise<string> {
  if (existsSync("COMMIT")) return readFileSync("COMMIT", "utf8").trim()
  const { status, output } = await runProgram("git", ["describe", "--always", "--dirty", "--exclude=*"], {
    seconds: 30,
  })
  return status === 0 ? output.trim() : "unknown"
}

async function versionOfKoffi(): Promise<unknown> {
  try {
    const { default: koffi } = await import("koffi")
    return koffi.version
  } catch (error) {
    return String(error)
  }
}
