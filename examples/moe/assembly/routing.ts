// Which experts get which tokens. Decided and sorted on the device, so that the host need not look.

import { exponentialOf } from "./exponential"

/**
 * Softmax over a token's logits (in place), its `topK` most probable experts with their probabilities, and the tokens
 * sorted by expert.
 *
 * @param experts [tokens][topK], the chosen experts, the most probable first
 * @param weights [tokens][topK], their probabilities
 * @param offsets [expertCount + 1], where each expert's rows begin in the sorted order
 * @param rows [tokens · topK], which token each sorted row is for
 * @param slots [tokens][topK], the sorted row of each choice: the inverse of `rows`
 */
export function route(
  logits: usize,
  experts: usize,
  weights: usize,
  offsets: usize,
  rows: usize,
  slots: usize,
  tokens: u32,
  expertCount: u32,
  topK: u32,
): void {
  for (let token: u32 = 0; token < tokens; token++) {
    softmax(logits + ((token * expertCount) << 2), expertCount)
    const choice = (token * topK) << 2
    choose(logits + ((token * expertCount) << 2), expertCount, experts + choice, weights + choice, topK)
  }
  sortByExpert(experts, offsets, rows, slots, tokens, expertCount, topK)
}

function softmax(values: usize, count: u32): void {
  let largest = load<f32>(values)
  for (let i: u32 = 1; i < count; i++) largest = max(largest, load<f32>(values + (i << 2)))
  let sum: f32 = 0
  for (let i: u32 = 0; i < count; i++) {
    const value = exponentialOf(load<f32>(values + (i << 2)) - largest)
    store<f32>(values + (i << 2), value)
    sum += value
  }
  for (let i: u32 = 0; i < count; i++) store<f32>(values + (i << 2), load<f32>(values + (i << 2)) / sum)
}

/** Takes the largest probability `topK` times; a taken one is marked with -1. */
function choose(probabilities: usize, count: u32, experts: usize, weights: usize, topK: u32): void {
  for (let choice: u32 = 0; choice < topK; choice++) {
    let best: u32 = 0
    for (let i: u32 = 1; i < count; i++) {
      if (load<f32>(probabilities + (i << 2)) > load<f32>(probabilities + (best << 2))) best = i
    }
    store<u32>(experts + (choice << 2), best)
    store<f32>(weights + (choice << 2), load<f32>(probabilities + (best << 2)))
    store<f32>(probabilities + (best << 2), -1)
  }
}

/** A counting sort: stable, so that an expert's tokens keep their order. */
function sortByExpert(
  experts: usize,
  offsets: usize,
  rows: usize,
  slots: usize,
  tokens: u32,
  expertCount: u32,
  topK: u32,
): void {
  const choices = tokens * topK
  let row: u32 = 0
  for (let expert: u32 = 0; expert < expertCount; expert++) {
    store<u32>(offsets + (expert << 2), row)
    for (let choice: u32 = 0; choice < choices; choice++) {
      if (load<u32>(experts + (choice << 2)) != expert) continue
      store<u32>(rows + (row << 2), choice / topK)
      store<u32>(slots + (choice << 2), row)
      row++
    }
  }
  store<u32>(offsets + (expertCount << 2), row)
}
