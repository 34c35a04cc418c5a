import { type DeviceArray, parallel } from "auxstream"
import { addUp, divide, gather, shape } from "./kernels.js"
import { numbers, type Program } from "./program.js"

const LINKS = 3
const ITERATIONS = 5

/** A web whose pages each link to three others, and the same with the links turned around, as sparse rows. */
function web(pages: number): { forth: [Int32Array, Int32Array]; back: [Int32Array, Int32Array] } {
  const targets = Int32Array.from(numbers(pages * LINKS, 9), (value) => Math.floor(value * pages))
  const starts = Int32Array.from({ length: pages + 1 }, (_, page) => page * LINKS)
  const backStarts = new Int32Array(pages + 1)
  for (const target of targets) backStarts[target + 1] = (backStarts[target + 1] ?? 0) + 1
  for (let page = 0; page < pages; page++) backStarts[page + 1] = (backStarts[page + 1] ?? 0) + (backStarts[page] ?? 0)
  const next = backStarts.slice()
  const sources = new Int32Array(targets.length)
  targets.forEach((target, link) => {
    const at = next[target] ?? 0
    sources[at] = Math.floor(link / LINKS)
    next[target] = at + 1
  })
  return { forth: [starts, targets], back: [backStarts, sources] }
}

/** The hubs and the authorities of a web, by power iteration. */
export const hits: Program = {
  name: "HITS",
  unit: "pages with 3 links each",
  open(device, pages) {
    const grid = shape(pages)
    const { forth, back } = web(pages)
    const [starts, targets, backStarts, sources] = [...forth, ...back].map((each) => device.from(each))
    if (starts === undefined || targets === undefined || backStarts === undefined || sources === undefined) {
      throw new Error("A web has links in both directions")
    }
    const half = () => ({
      score: device.full("float32", pages, 1),
      raw: device.empty("float32", pages),
      sum: device.empty("float32", 1),
    })
    type Half = ReturnType<typeof half>
    const [hubs, authorities] = [half(), half()]
    const collect = (from: DeviceArray<"int32">, to: DeviceArray<"int32">, of: Half, other: Half) =>
      gather.launch(grid, pages, from, to, other.score, of.raw)
    const normalize = ({ raw, sum, score }: Half) => {
      sum.fill(0)
      addUp.launch(grid, pages, raw, sum)
      divide.launch(grid, pages, raw, sum, score)
    }
    const collectHubs = () => collect(starts, targets, hubs, authorities)
    const collectAuthorities = () => collect(backStarts, sources, authorities, hubs)
    const begin = () => {
      for (const { score } of [hubs, authorities]) score.fill(1)
    }
    return {
      inSequence() {
        begin()
        for (let iteration = 0; iteration < ITERATIONS; iteration++) {
          collectHubs()
          collectAuthorities()
          normalize(hubs)
          normalize(authorities)
        }
      },
      byHand() {
        begin()
        for (let iteration = 0; iteration < ITERATIONS; iteration++) {
          parallel([collectHubs, collectAuthorities]) // Both read what the others' scores were.
          parallel([() => normalize(hubs), () => normalize(authorities)])
        }
      },
      results: [hubs.score, authorities.score],
    }
  },
}
