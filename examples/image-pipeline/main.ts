/**
 * Enhances a picture file and writes the result:
 *
 *   node build/examples/image-pipeline/main.js --output enhanced.png [--input FILE] [--device D] [--sequential]
 */

import { readFile, writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import {
  AuxstreamError,
  openDevice,
  OutOfMemoryError,
  withMultiStream,
  type Device,
  type DeviceSelector,
} from "auxstream"
import { enhance, prepare } from "./pipeline.js"
import { PngError, readPng, writePng } from "./png.js"

const cat = fileURLToPath(new URL("cat.png", import.meta.url))

/** A mistake of the user. Its message is one sentence. */
class UsageError extends Error {}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        input: { type: "string", default: cat },
        output: { type: "string" },
        device: { type: "string", default: "auto" },
        sequential: { type: "boolean", default: false },
      },
    })
    const { input, output, device, sequential } = values
    if (!output) throw new UsageError("--output must name the picture to write, such as --output enhanced.png")
    return { input, output, device: device as DeviceSelector, sequential }
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error))
  }
}

async function main(): Promise<void> {
  const { input, output, device: selector, sequential } = readOptions()
  const picture = await readPicture(input)
  const device = open(selector)
  try {
    await prepare(device)
    await enhance(device, picture) // The first run includes compiling and allocating.
    const started = performance.now()
    const enhanced = await withMultiStream(!sequential, () => enhance(device, picture))
    const milliseconds = performance.now() - started
    await writePicture(output, writePng(enhanced))
    const way = sequential ? "one branch after the other" : "three branches beside each other"
    console.log(`${picture.width} × ${picture.height} pixels on ${device.id}, ${way}: ${milliseconds.toFixed(1)} ms`)
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error
    throw new UsageError(`${input} is too large for ${device.id}: ${error.message}`)
  } finally {
    device.dispose()
  }
}

function open(selector: DeviceSelector): Device {
  try {
    return openDevice(selector)
  } catch (error) {
    if (error instanceof AuxstreamError) throw new UsageError(error.message)
    throw error
  }
}

async function readPicture(path: string) {
  try {
    return readPng(await readFile(path))
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${reasonOf(error)}.`)
  }
}

async function writePicture(path: string, file: Uint8Array): Promise<void> {
  try {
    await writeFile(path, file)
  } catch (error) {
    throw new UsageError(`Cannot write ${path}: ${reasonOf(error)}.`)
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof PngError) return error.message
  const code = error instanceof Error && "code" in error ? error.code : undefined
  if (code === "ENOENT") return "there is no such file or folder"
  if (code === "EISDIR") return "it is a folder"
  if (code === "EACCES") return "it is not allowed"
  return error instanceof Error ? error.message : String(error)
}

try {
  await main()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(error.message)
  process.exitCode = 2
}
