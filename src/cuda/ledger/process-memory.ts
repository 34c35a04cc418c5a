/**
 * Memory that all threads of the process share, and locks that report if the thread that held them has ended.
 *
 * A Worker that ends by `process.exit` or `terminate()` runs no more JavaScript, and Node.js has no storage that a library's
 * threads all share. So the address of the first block is kept in an environment variable of the process: setting a variable
 * that is not set is atomic. Child processes inherit it, so its name identifies one run of one program. POSIX robust
 * mutexes report an ended holder to the next thread that locks them. A block must never be used by another process.
 *
 * Where the C library lacks these functions (Windows), each thread has its own memory, and its locks are always free.
 */
import { createHash } from "node:crypto"
import { CMemory } from "../native/c-memory.js"
import { bind, type Bound, koffi, readText, type Signature, viewMemory } from "../native/ffi.js"

const address = "uintptr_t"
const C_LIBRARY = {
  posix_memalign: ["posix_memalign", address, "size_t", "size_t"],
  free: ["free", address],
  setenv: ["setenv", "str", "str", "int"],
  pthread_mutexattr_init: ["pthread_mutexattr_init", address],
  pthread_mutexattr_setrobust: ["pthread_mutexattr_setrobust", address, "int"],
  pthread_mutex_init: ["pthread_mutex_init", address, address],
  pthread_mutex_lock: ["pthread_mutex_lock", address],
  pthread_mutex_trylock: ["pthread_mutex_trylock", address],
  pthread_mutex_consistent: ["pthread_mutex_consistent", address],
  pthread_mutex_unlock: ["pthread_mutex_unlock", address],
} as const satisfies Record<string, Signature>
const WITH_ADDRESSES = {
  getenv: ["getenv", "str"],
  getauxval: ["getauxval", "size_t"],
} as const satisfies Record<string, Signature>

const SUCCESS = 0
const OWNER_DIED = 130
const ROBUST = 1
const ALIGNMENT = 64
/** More than a mutex needs on any platform. */
export const MUTEX_BYTES = 128
/** The entry of the auxiliary vector for 16 random bytes, which differ for each started program. */
const AT_RANDOM = 25

/** The result of an attempt to lock. */
export type Attempt = "locked" | "held" | "abandoned"

/** A block of bytes with an address, which exists until it is freed. */
export interface Block {
  readonly address: number
  readonly buffer: ArrayBuffer
}

/** Memory shared by all threads of the process. */
export interface ProcessMemory {
  /** The block that all threads share, made by the first one. It begins with a mutex. */
  readonly root: Block
  /** A block of zeros. */
  allocate(byteLength: number): Block
  free(address: number): void
  /** The block of `byteLength` bytes at an address. */
  at(address: number, byteLength: number): Block
  makeMutex(address: number): void
  lock(mutex: number): void
  tryLock(mutex: number): Attempt
  unlock(mutex: number): void
}

const ROOT_BYTES = 256

class SharedMemory implements ProcessMemory {
  readonly root: Block
  readonly #c: Bound<typeof C_LIBRARY>
  readonly #out = new CMemory(8)
  /** The blocks that this thread has seen. Another thread may have freed one, and its address may be used again. */
  readonly #blocks = new Map<number, Block>()

  /** @throws Error if the C library lacks a function */
  constructor() {
    const library = koffi().load(null)
    this.#c = bind(library, C_LIBRARY)
    const { getenv, getauxval } = bind(library, WITH_ADDRESSES, address)
    const random = new Uint8Array(viewMemory(getauxval(AT_RANDOM), 16))
    const name = `AUXSTREAM_THREADS_${createHash("sha256").update(random).digest("hex").slice(0, 16)}`
    const own = this.allocate(ROOT_BYTES)
    this.makeMutex(own.address)
    this.#c.setenv(name, String(own.address), 0)
    const shared = Number(readText(getenv(name)))
    if (shared !== own.address) this.free(own.address)
    this.root = shared === own.address ? own : this.at(shared, ROOT_BYTES)
  }

  allocate(byteLength: number): Block {
    const status = this.#c.posix_memalign(this.#out.address, ALIGNMENT, byteLength)
    if (status !== SUCCESS) throw new Error(`posix_memalign failed with ${status}`)
    const block = this.at(this.#out.number(0), byteLength)
    new Uint8Array(block.buffer).fill(0)
    return block
  }

  free(block: number): void {
    this.#c.free(block)
  }

  at(block: number, byteLength: number): Block {
    const known = this.#blocks.get(block)
    if (known?.buffer.byteLength === byteLength) return known
    const made = { address: block, buffer: viewMemory(block, byteLength) }
    this.#blocks.set(block, made)
    return made
  }

  makeMutex(mutex: number): void {
    const attributes = new CMemory(64)
    this.#c.pthread_mutexattr_init(attributes.address)
    this.#c.pthread_mutexattr_setrobust(attributes.address, ROBUST)
    this.#c.pthread_mutex_init(mutex, attributes.address)
  }

  lock(mutex: number): void {
    if (this.#c.pthread_mutex_lock(mutex) === OWNER_DIED) this.#c.pthread_mutex_consistent(mutex)
  }

  tryLock(mutex: number): Attempt {
    const status = this.#c.pthread_mutex_trylock(mutex)
    if (status === SUCCESS) return "locked"
    if (status !== OWNER_DIED) return "held"
    this.#c.pthread_mutex_consistent(mutex)
    return "abandoned"
  }

  unlock(mutex: number): void {
    this.#c.pthread_mutex_unlock(mutex)
  }
}

/** The memory of one thread, which no other thread sees. */
class ThreadMemory implements ProcessMemory {
  readonly #blocks = new Map<number, { readonly memory: CMemory; readonly block: Block }>()
  readonly root = this.allocate(ROOT_BYTES)

  allocate(byteLength: number): Block {
    const memory = new CMemory(byteLength)
    const block = { address: memory.address, buffer: memory.bytes.buffer }
    this.#blocks.set(memory.address, { memory, block })
    return block
  }

  free(block: number): void {
    this.#blocks.delete(block)
  }

  at(block: number): Block {
    const known = this.#blocks.get(block)
    if (known === undefined) throw new Error(`No block begins at address ${block}.`)
    return known.block
  }

  makeMutex(): void {}
  lock(): void {}
  unlock(): void {}
  tryLock(): Attempt {
    return "held"
  }
}

let memory: ProcessMemory | undefined

/** The shared memory of this process, found or made at the first call. */
export function processMemory(): ProcessMemory {
  memory ??= process.platform === "linux" ? (tryShared() ?? new ThreadMemory()) : new ThreadMemory()
  return memory
}

function tryShared(): ProcessMemory | undefined {
  try {
    return new SharedMemory()
  } catch {
    return undefined
  }
}
