/**
 * A language model of half a megabyte that llama.cpp loads: its architecture in small, with meaningless weights that are the
 * same each time.
 */
import { gguf, ggufArray, ggufFloat32, ggufInt32, ggufString, type GgufTensor, ggufUint32 } from "./gguf.js"

const embedding = 64
const heads = 2
const feedForward = 128
const layers = 2
export const contextLength = 256

/** The format's kinds of tokens. */
const UNKNOWN = 2
const CONTROL = 3
const BYTE = 6

const vocabulary = [
  { text: "<unk>", kind: UNKNOWN },
  { text: "<s>", kind: CONTROL },
  { text: "</s>", kind: CONTROL },
  ...Array.from({ length: 256 }, (_, byte) => ({
    text: `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
    kind: BYTE,
  })),
] as const
const [first, ...others] = vocabulary

/** A byte's token. */
export function tokenOf(byte: number): number {
  return byte + vocabulary.length - 256
}

/** The model's file. */
export function tinyLlama(): Buffer {
  const header = {
    "general.architecture": ggufString("llama"),
    "general.name": ggufString("tiny"),
    "llama.context_length": ggufUint32(contextLength),
    "llama.embedding_length": ggufUint32(embedding),
    "llama.block_count": ggufUint32(layers),
    "llama.feed_forward_length": ggufUint32(feedForward),
    "llama.attention.head_count": ggufUint32(heads),
    "llama.attention.head_count_kv": ggufUint32(heads),
    "llama.attention.layer_norm_rms_epsilon": ggufFloat32(1e-5),
    "llama.rope.dimension_count": ggufUint32(embedding / heads),
    "llama.vocab_size": ggufUint32(vocabulary.length),
    "tokenizer.ggml.model": ggufString("llama"),
    "tokenizer.ggml.tokens": ggufArray([ggufString(first.text), ...others.map(({ text }) => ggufString(text))]),
    "tokenizer.ggml.scores": ggufArray([ggufFloat32(0), ...others.map(() => ggufFloat32(0))]),
    "tokenizer.ggml.token_type": ggufArray([ggufInt32(first.kind), ...others.map(({ kind }) => ggufInt32(kind))]),
    "tokenizer.ggml.unknown_token_id": ggufUint32(0),
    "tokenizer.ggml.bos_token_id": ggufUint32(1),
    "tokenizer.ggml.eos_token_id": ggufUint32(2),
  }
  return gguf(header, tensors())
}

function tensors(): GgufTensor[] {
  const random = randomNumbers(1)
  const matrix = (name: string, inputs: number, outputs: number): GgufTensor => {
    // Scaled so that a layer does not change the size of its numbers.
    const most = Math.sqrt(3 / inputs)
    const data = Float32Array.from({ length: inputs * outputs }, () => (random() * 2 - 1) * most)
    return { name: `${name}.weight`, shape: [inputs, outputs], data }
  }
  const norm = (name: string): GgufTensor => ({
    name: `${name}.weight`,
    shape: [embedding],
    data: new Float32Array(embedding).fill(1),
  })
  const layer = (_: unknown, index: number): GgufTensor[] => [
    norm(`blk.${index}.attn_norm`),
    matrix(`blk.${index}.attn_q`, embedding, embedding),
    matrix(`blk.${index}.attn_k`, embedding, embedding),
    matrix(`blk.${index}.attn_v`, embedding, embedding),
    matrix(`blk.${index}.attn_output`, embedding, embedding),
    norm(`blk.${index}.ffn_norm`),
    matrix(`blk.${index}.ffn_gate`, embedding, feedForward),
    matrix(`blk.${index}.ffn_up`, embedding, feedForward),
    matrix(`blk.${index}.ffn_down`, feedForward, embedding),
  ]
  return [
    matrix("token_embd", embedding, vocabulary.length),
    ...Array.from({ length: layers }, layer).flat(),
    norm("output_norm"),
    matrix("output", embedding, vocabulary.length),
  ]
}

/** Numbers from 0 to 1, the same for the same seed (Mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
