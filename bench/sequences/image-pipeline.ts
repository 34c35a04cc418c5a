import { parallel } from "auxstream"
import { blend, blur, edges, extend, maximum, minimum, shape, sharpen } from "./kernels.js"
import { numbers, type Program } from "./program.js"

/** The weights of a Gaussian blur. Their sum is 1. */
function gaussian(radius: number, deviation: number): Float32Array {
  const diameter = 2 * radius + 1
  const weights = Array.from({ length: diameter * diameter }, (_, i) => {
    const [x, y] = [(i % diameter) - radius, Math.floor(i / diameter) - radius]
    return Math.exp((-0.5 * (x * x + y * y)) / deviation ** 2)
  })
  const sum = weights.reduce((total, weight) => total + weight)
  return Float32Array.from(weights, (weight) => weight / sum)
}

/** A filter for portraits: sharper where the picture has edges, softer elsewhere. */
export const imagePipeline: Program = {
  name: "image pipeline",
  unit: "pixels a side",
  open(device, side) {
    const n = side * side
    const grid = shape(n)
    const image = device.from(numbers(n, 3))
    const empty = () => device.empty("float32", n)
    const [small, smallMask, large, largeMask] = [empty(), empty(), empty(), empty()]
    const [soft, sharp, half, result] = [empty(), empty(), empty(), empty()]
    const [least, most] = [device.empty("float32", 1), device.empty("float32", 1)]
    const [narrow, wide, medium] = [gaussian(1, 1), gaussian(2, 10), gaussian(1, 5)].map((each) => device.from(each))
    if (narrow === undefined || wide === undefined || medium === undefined) throw new Error("Three blurs are needed")

    const smallBranch = () => {
      blur.launch(grid, side, 1, narrow, image, small)
      edges.launch(grid, side, small, smallMask)
    }
    const largeEdges = () => {
      blur.launch(grid, side, 2, wide, image, large)
      edges.launch(grid, side, large, largeMask)
    }
    const findLeast = () => {
      least.fill(1e30)
      minimum.launch(grid, n, largeMask, least)
    }
    const findMost = () => {
      most.fill(0)
      maximum.launch(grid, n, largeMask, most)
    }
    const stretch = () => extend.launch(grid, n, least, most, largeMask)
    const sharpBranch = () => {
      blur.launch(grid, side, 1, medium, image, soft)
      sharpen.launch(grid, n, 0.5, image, soft, sharp)
    }
    const combine = () => {
      blend.launch(grid, n, sharp, large, largeMask, half)
      blend.launch(grid, n, half, small, smallMask, result)
    }
    return {
      inSequence() {
        smallBranch()
        largeEdges()
        findLeast()
        findMost()
        stretch()
        sharpBranch()
        combine()
      },
      byHand() {
        const largeBranch = () => {
          largeEdges()
          parallel([findLeast, findMost])
          stretch()
        }
        parallel([largeBranch, smallBranch, sharpBranch])
        combine()
      },
      results: [result],
    }
  },
}
