import { type Check, checkDevices, type CheckedDevice, checkProgram } from "./checks.js"
import { type Command, parseOptions, UsageError } from "./command.js"
import { figureLines } from "./figures.js"
import { type Paint, paintFor } from "./terminal.js"

/** Side by side must be at least this many times faster; below, another program probably keeps the cores busy. */
const LEAST_SPEEDUP = 1.2

const help = `auxstream doctor [--device host|cuda] [--json]

Lists the devices. Says why a device cannot be used, and how to fix that. Measures each usable device for a few seconds.

  --device KIND  exit with 1 unless a device of this kind works: host or cuda
  --json         print one JSON object

Exit code: 0 if a device works, otherwise 1.`

/** Checks the machine. */
export const doctor: Command = {
  name: "doctor",
  summary: "check the devices and libraries of this machine, and measure launches",
  help,
  async run(args) {
    const { json = false, device } = parseOptions("doctor", args, {
      json: { type: "boolean" },
      device: { type: "string" },
    })
    if (device !== undefined && device !== "host" && device !== "cuda") {
      throw new UsageError(`--device must be host or cuda; got ${JSON.stringify(device)}.`)
    }
    const checks = checkProgram()
    const devices = await checkDevices()
    const wanted = devices.filter(({ id }) => device === undefined || id.startsWith(device))
    const ok = wanted.some(({ usable }) => usable)
    const paint = paintFor(process.stdout)
    console.log(json ? JSON.stringify({ ok, checks, devices }, undefined, 2) : text(checks, devices, paint).join("\n"))
    return ok ? 0 : 1
  },
}

function text(checks: readonly Check[], devices: readonly CheckedDevice[], paint: Paint): string[] {
  return [...checks.map((check) => line(check, paint)), ...devices.flatMap((device) => deviceLines(device, paint))]
}

function deviceLines({ id, name, usable, reason = "", checks, measured }: CheckedDevice, paint: Paint): string[] {
  const mark = usable ? paint("green", "✓") : paint("red", "✗")
  const figures = measured === undefined ? [] : figureLines(measured)
  const isBusy = measured !== undefined && measured.speedup.median < LEAST_SPEEDUP
  return [
    `${mark} ${paint("bold", id)}  ${usable ? name : reason}`,
    ...checks.map((check) => `  ${line(check, paint)}`),
    ...figures.map((figure) => `    ${figure}`),
    ...(isBusy ? [`  ${paint("yellow", "!")} Little overlap: other programs may be using the cores or the GPU.`] : []),
  ]
}

function line({ name, ok, detail }: Check, paint: Paint): string {
  return `${ok ? paint("green", "✓") : paint("yellow", "!")} ${name}: ${detail}`
}
