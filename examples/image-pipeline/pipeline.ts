/**
 * Sharpens a picture at its edges and softens it elsewhere, like GrCUDA's image pipeline: three branches that need only the
 * picture run side by side, then two steps join them.
 */

import { parallel, type Device, type DeviceArray } from "auxstream"
import * as kernels from "./kernels.js"
import type { Picture } from "./png.js"

/** A picture on a device: planes of values from 0 to 1, one plane a color. */
export interface Image {
  readonly width: number
  readonly height: number
  readonly planes: number
  readonly values: DeviceArray<"float32">
}

/** Prepares every kernel, so that the first picture does not wait for a compiler. */
export async function prepare(device: Device): Promise<void> {
  await Promise.all(Object.values(kernels).map((kernel) => kernel.prepare(device)))
}

/** The picture, enhanced. Alpha stays as it is. */
export async function enhance(device: Device, picture: Picture): Promise<Picture> {
  const bytes = device.scope(() => {
    const bytes = device.from(picture.data)
    download(pipeline(upload(bytes, picture)), picture, bytes)
    return bytes
  })
  const data = await bytes.read()
  bytes.dispose()
  return { ...picture, data }
}

/** The pipeline itself. It only queues and waits for nothing. */
export function pipeline(image: Image): Image {
  const [fine, coarse, sharp] = parallel([
    () => edges(blur(image, 1)),
    () => edges(blur(image, 7), 5),
    () => unsharpen(image, blur(image, 3), 0.8),
  ])
  return combine(combine(sharp, coarse.blurred, coarse.mask), fine.blurred, fine.mask)
}

/** Where a blurred picture has edges: a mask from 0 to 1. */
function edges(blurred: Image, gain = 8): { blurred: Image; mask: Image } {
  const mask = sobel(blurred)
  const { length, device } = mask.values
  const range = device.empty("float32", 2)
  kernels.findRange.launch({ grid: 1, block: 1024 }, length, mask.values, range)
  kernels.extend.launch(shapeOf(length), length, gain, range, mask.values)
  return { blurred, mask }
}

/** Blurs with a Gaussian of this radius, in rows and then in columns. */
export function blur(image: Image, radius: number): Image {
  const { width, height, values } = image
  const weights = values.device.from(gaussian(radius))
  const halfway = like(image)
  const target = like(image)
  kernels.blur.launch(tilesOf(image), width, height, 0, radius, weights, values, halfway.values)
  kernels.blur.launch(tilesOf(image), width, height, 1, radius, weights, halfway.values, target.values)
  halfway.values.dispose() // Its memory is reused only after both launches.
  return target
}

function gaussian(radius: number): Float32Array {
  const sigma = radius / 2
  const weights = Float32Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma ** 2)),
  )
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.map((weight) => weight / sum)
}

/** The steepness of each plane. */
export function sobel(image: Image): Image {
  const target = like(image)
  kernels.sobel.launch(tilesOf(image), image.width, image.height, image.values, target.values)
  return target
}

function unsharpen(image: Image, blurred: Image, amount: number): Image {
  const target = like(image)
  const { length } = image.values
  kernels.unsharpen.launch(shapeOf(length), length, amount, image.values, blurred.values, target.values)
  return target
}

function combine(image: Image, background: Image, mask: Image): Image {
  const target = like(image)
  const { length } = image.values
  kernels.combine.launch(shapeOf(length), length, image.values, background.values, mask.values, target.values)
  return target
}

/** The colors of a picture's bytes on the device. */
export function upload(bytes: DeviceArray<"uint8">, { width, height, channels }: Picture): Image {
  const planes = channels < 3 ? 1 : 3
  const pixels = width * height
  const values = bytes.device.empty("float32", planes * pixels)
  kernels.unpack.launch(shapeOf(pixels), pixels, channels, planes, bytes, values)
  return { width, height, planes, values }
}

function download(image: Image, { channels }: Picture, bytes: DeviceArray<"uint8">): void {
  const pixels = image.width * image.height
  kernels.pack.launch(shapeOf(pixels), pixels, channels, image.planes, image.values, bytes)
}

function like(image: Image): Image {
  return { ...image, values: image.values.device.empty("float32", image.values.length) }
}

function shapeOf(count: number) {
  return { grid: Math.ceil(count / 256), block: 256 }
}

/** Blocks of 16 × 16 pixels over each plane. */
function tilesOf({ width, height, planes }: Image) {
  return { grid: [Math.ceil(width / 16), Math.ceil(height / 16), planes], block: [16, 16] } as const
}
