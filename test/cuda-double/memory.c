/*
 * Memory: pools with stream-ordered allocation, pinned memory, copies and fills. Each use is checked when the queue gets
 * to it: memory that is not alive at that place is a fault that loses the device, as on a GPU with luck.
 */
#include "double.h"

#include <stdlib.h>
#include <string.h>

#define POISON 0xdd
/* Enough to be seen; more would take real memory for blocks that nobody has touched. */
#define POISONED_BYTES 65536

struct pool {
  enum kind kind;
  int device;
  uint64_t attributes[9];
  bool destroyed;
  /* Of page-locked memory of the host, which the device can only reach once it was given access. */
  bool host, accessible;
  /* Of such a pool. The others share what the device has. */
  uint64_t reserved;
  long outstanding;
};

struct block {
  uint64_t address;
  size_t capacity;
  /* Where the queues are: between the alloc's place and the free's. */
  _Atomic bool alive;
  bool pinned;
  struct pool *pool;
  /* Freed: the free's place, and the stream that it was queued on. */
  struct record *freed;
  struct stream *freed_on;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* By address, so that a pointer into the middle of one is found, too. */
static struct block **blocks;
static size_t block_count, block_capacity;
static uint64_t reserved, used, used_high, reserved_high;
static uint64_t limit = (uint64_t)1 << 34;
static _Atomic long host_frees_while_busy;
static _Atomic bool has_host_pools = true;

/* Are there pools of host memory? Older drivers have none. */
EXPORT void double_set_host_pools(int has) { has_host_pools = has; }

EXPORT void double_set_memory(double bytes) { limit = (uint64_t)bytes; }
/* How often pinned memory was given back while commands were queued: the real driver waits for the device there. */
EXPORT double double_host_frees_while_busy(void) { return host_frees_while_busy; }

/* The place of the first block above the address. */
static size_t place(uint64_t address) {
  size_t low = 0, high = block_count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (blocks[middle]->address <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}

static struct block *find(uint64_t address) {
  size_t above = place(address);
  if (above == 0) return NULL;
  struct block *block = blocks[above - 1];
  return address < block->address + block->capacity ? block : NULL;
}

static void insert(struct block *block) {
  if (block_count == block_capacity) {
    block_capacity = block_capacity ? block_capacity * 2 : 64;
    blocks = realloc(blocks, block_capacity * sizeof *blocks);
  }
  size_t at = place(block->address);
  memmove(&blocks[at + 1], &blocks[at], (block_count - at) * sizeof *blocks);
  blocks[at] = block;
  block_count++;
}

static void discard(struct block *block) {
  size_t at = place(block->address) - 1;
  memmove(&blocks[at], &blocks[at + 1], (block_count - at - 1) * sizeof *blocks);
  block_count--;
  double_record_drop(block->freed);
  free((void *)block->address);
  free(block);
}

static struct block *make_block(size_t capacity, size_t alignment) {
  void *memory;
  if (posix_memalign(&memory, alignment, capacity)) return NULL;
  struct block *block = calloc(1, sizeof *block);
  block->address = (uint64_t)(uintptr_t)memory;
  block->capacity = capacity;
  insert(block);
  return block;
}

bool double_reachable(uint64_t address, size_t bytes) {
  pthread_mutex_lock(&lock);
  struct block *block = find(address);
  bool reachable = block && block->alive && address + bytes <= block->address + block->capacity;
  pthread_mutex_unlock(&lock);
  return reachable;
}

#define NEED_POOL(pool) REQUIRE((pool) && (pool)->kind == POOL, CUDA_ERROR_INVALID_VALUE)
#define NEED_STREAM(stream)                                     \
  REQUIRE(double_is_stream(stream), CUDA_ERROR_INVALID_HANDLE); \
  NEED_OWN(double_stream_context(stream))

EXPORT CUresult cuMemPoolCreate(struct pool **out, const int *properties) {
  ENTER(cuMemPoolCreate, A(properties[0]), A(properties[2]), A(properties[3]));
  NOT_BESIDE_CAPTURES();
  /* CU_MEM_LOCATION_TYPE_DEVICE is 1, CU_MEM_LOCATION_TYPE_HOST is 2. */
  bool host = properties[2] == 2 && has_host_pools;
  REQUIRE(properties[0] == 1 && properties[1] == 0 && (properties[2] == 1 || host), CUDA_ERROR_INVALID_VALUE);
  for (int i = 4; i < 22; i++) REQUIRE(properties[i] == 0, CUDA_ERROR_INVALID_VALUE);
  struct pool *pool = calloc(1, sizeof *pool);
  pool->kind = POOL;
  pool->device = properties[3];
  pool->host = host;
  double_live.pools++;
  *out = pool;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolSetAccess(struct pool *pool, const int *access, size_t count) {
  ENTER(cuMemPoolSetAccess, A(pool), A(access[1]), count);
  NEED_POOL(pool);
  REQUIRE(count == 1 && access[0] == 1 && access[2] == 3, CUDA_ERROR_INVALID_VALUE);
  pool->accessible = true;
  return CUDA_SUCCESS;
}

static bool belongs(const struct block *block, const struct pool *pool) { return block->pool == pool; }

static uint64_t *reserved_by(struct pool *pool) { return pool->host ? &pool->reserved : &reserved; }

/* Gives back freed blocks whose free has happened, but for so many bytes. */
static void trim_to(struct pool *pool, size_t keep) {
  uint64_t *held = reserved_by(pool);
  for (size_t i = block_count; i-- > 0 && *held > keep;) {
    struct block *block = blocks[i];
    if (!belongs(block, pool) || !block->freed || !block->freed->done) continue;
    *held -= block->capacity;
    discard(block);
  }
}

static void trim(struct pool *pool) { trim_to(pool, 0); }

EXPORT CUresult cuMemPoolDestroy(struct pool *pool) {
  ENTER(cuMemPoolDestroy, A(pool));
  NOT_BESIDE_CAPTURES();
  NEED_POOL(pool);
  pthread_mutex_lock(&lock);
  pool->destroyed = true;
  trim(pool);
  pool->kind = DEAD;
  pthread_mutex_unlock(&lock);
  double_live.pools--;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolTrimTo(struct pool *pool, size_t keep) {
  ENTER(cuMemPoolTrimTo, A(pool), keep);
  NOT_BESIDE_CAPTURES();
  NEED_POOL(pool);
  pthread_mutex_lock(&lock);
  trim_to(pool, keep);
  pthread_mutex_unlock(&lock);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolSetAttribute(struct pool *pool, int attribute, const void *value) {
  uint64_t number = attribute < 4 ? *(const uint32_t *)value : *(const uint64_t *)value;
  ENTER(cuMemPoolSetAttribute, A(pool), A(attribute), number);
  NEED_POOL(pool);
  REQUIRE(attribute >= 1 && attribute <= 8, CUDA_ERROR_INVALID_VALUE);
  pool->attributes[attribute] = number;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolGetAttribute(struct pool *pool, int attribute, void *value) {
  ENTER(cuMemPoolGetAttribute, A(pool), A(attribute));
  NEED_POOL(pool);
  pthread_mutex_lock(&lock);
  const uint64_t measured[] = {*reserved_by(pool), reserved_high, used, used_high};
  if (attribute < 4) *(uint32_t *)value = (uint32_t)pool->attributes[attribute];
  else *(uint64_t *)value = attribute == 4 ? pool->attributes[4] : measured[attribute - 5];
  pthread_mutex_unlock(&lock);
  return CUDA_SUCCESS;
}

struct block_command {
  struct command command;
  struct block *block;
  struct record *record;
};

static void run_alloc(struct command *command) { ((struct block_command *)command)->block->alive = true; }

static void run_free(struct command *command) {
  struct block_command *own = (struct block_command *)command;
  struct block *block = own->block;
  /* Under the lock throughout: once the free is known to be over, anyone may discard the block. */
  pthread_mutex_lock(&lock);
  block->alive = false;
  memset((void *)block->address, POISON, block->capacity < POISONED_BYTES ? block->capacity : POISONED_BYTES);
  double_leave(command);
  double_record_finish(own->record);
  if (block->pool->destroyed && block->freed == own->record) {
    *reserved_by(block->pool) -= block->capacity;
    discard(block);
  }
  pthread_mutex_unlock(&lock);
  double_record_drop(own->record);
}

static void queue_block(struct stream *stream, struct block *block, void (*run)(struct command *), struct record *record) {
  struct block_command *command = calloc(1, sizeof *command);
  command->command.run = run;
  command->block = block;
  command->record = double_record_keep(record);
  double_queue(stream, &command->command);
}

/* A freed block that this stream may have: freed on it, or its free is over. */
static struct block *reuse(struct pool *pool, size_t capacity, struct stream *stream) {
  for (size_t i = 0; i < block_count; i++) {
    struct block *block = blocks[i];
    if (!belongs(block, pool) || !block->freed || block->capacity != capacity) continue;
    if (block->freed_on != stream && !block->freed->done) continue;
    double_record_drop(block->freed);
    block->freed = NULL;
    return block;
  }
  return NULL;
}

EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr *out, size_t bytes, struct pool *pool, struct stream *stream) {
  ENTER(cuMemAllocFromPoolAsync, bytes, A(pool), A(stream));
  NOT_BESIDE_CAPTURES();
  NEED_STREAM(stream);
  NOT_CAPTURED(stream);
  NEED_POOL(pool);
  REQUIRE(bytes > 0 && (!pool->host || pool->accessible), CUDA_ERROR_INVALID_VALUE);
  size_t capacity = (bytes + 511) / 512 * 512;
  pthread_mutex_lock(&lock);
  struct block *block = reuse(pool, capacity, stream);
  if (!block) {
    if (!pool->host && reserved + capacity > limit) trim(pool);
    if (pool->host ? capacity <= limit : reserved + capacity <= limit) block = make_block(capacity, pool->host ? 4096 : 512);
    if (!block) {
      pthread_mutex_unlock(&lock);
      return CUDA_ERROR_OUT_OF_MEMORY;
    }
    block->pool = pool;
    *reserved_by(pool) += capacity;
    if (reserved > reserved_high) reserved_high = reserved;
  }
  if (!pool->host) used += capacity;
  if (used > used_high) used_high = used;
  queue_block(stream, block, run_alloc, NULL);
  pthread_mutex_unlock(&lock);
  if (pool->host) double_live.pinned++;
  else double_live.allocations++;
  *out = block->address;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFreeAsync(CUdeviceptr address, struct stream *stream) {
  ENTER(cuMemFreeAsync, address, A(stream));
  NOT_BESIDE_CAPTURES();
  NEED_STREAM(stream);
  NOT_CAPTURED(stream);
  pthread_mutex_lock(&lock);
  struct block *block = find(address);
  bool valid = block && block->address == address && block->pool && !block->freed;
  if (valid) {
    block->freed = double_record_make();
    block->freed_on = stream;
    if (!block->pool->host) used -= block->capacity;
    if (block->pool->host) double_live.pinned--;
    else double_live.allocations--;
    queue_block(stream, block, run_free, block->freed);
  }
  pthread_mutex_unlock(&lock);
  return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
  ENTER(cuMemGetInfo_v2, 0);
  NEED_CURRENT(context);
  *free_bytes = limit > reserved ? limit - reserved : 0;
  *total = limit;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemHostAlloc(void **out, size_t bytes, unsigned flags) {
  ENTER(cuMemHostAlloc, bytes, flags);
  NEED_CURRENT(context);
  NOT_BESIDE_CAPTURES();
  pthread_mutex_lock(&lock);
  struct block *block = bytes <= limit ? make_block(bytes, 4096) : NULL;
  if (block) {
    block->pinned = block->alive = true;
    memset((void *)block->address, 0, bytes);
  }
  pthread_mutex_unlock(&lock);
  if (!block) return CUDA_ERROR_OUT_OF_MEMORY;
  double_live.pinned++;
  *out = (void *)block->address;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFreeHost(void *address) {
  ENTER(cuMemFreeHost, A(address));
  NEED_CURRENT(context);
  NOT_BESIDE_CAPTURES();
  if (context->busy > 0) host_frees_while_busy++;
  double_await_device(context);
  pthread_mutex_lock(&lock);
  struct block *block = find((uint64_t)(uintptr_t)address);
  bool valid = block && block->pinned && block->address == (uint64_t)(uintptr_t)address;
  if (valid) discard(block);
  pthread_mutex_unlock(&lock);
  if (valid) double_live.pinned--;
  return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

struct transfer {
  struct command command;
  uint64_t destination, source;
  size_t bytes, pitch, rows;
  unsigned width, value;
};

static void run_copy(struct command *command) {
  struct transfer *transfer = (struct transfer *)command;
  if (command->context->broken) return;
  if (!double_reachable(transfer->destination, transfer->bytes) || !double_reachable(transfer->source, transfer->bytes)) {
    double_break(CUDA_ERROR_ILLEGAL_ADDRESS);
    return;
  }
  memmove((void *)transfer->destination, (void *)transfer->source, transfer->bytes);
}

static void run_set(struct command *command) {
  struct transfer *transfer = (struct transfer *)command;
  if (command->context->broken) return;
  size_t extent = transfer->pitch * (transfer->rows - 1) + transfer->bytes;
  if (!double_reachable(transfer->destination, extent)) {
    double_break(CUDA_ERROR_ILLEGAL_ADDRESS);
    return;
  }
  for (size_t row = 0; row < transfer->rows; row++) {
    char *at = (char *)transfer->destination + row * transfer->pitch;
    for (size_t i = 0; i < transfer->bytes; i += transfer->width) memcpy(at + i, &transfer->value, transfer->width);
  }
}

static CUresult queue_transfer(struct stream *stream, struct transfer transfer, void (*run)(struct command *)) {
  NEED_STREAM(stream);
  if (transfer.bytes == 0 || (run == run_set && transfer.rows == 0)) return CUDA_SUCCESS;
  struct transfer *command = malloc(sizeof *command);
  *command = transfer;
  command->command.run = run;
  command->command.size = sizeof *command;
  command->command.keeps_current = true;
  command->command.current = double_current();
  return double_submit(stream, &command->command);
}

EXPORT CUresult cuMemcpyAsync(CUdeviceptr destination, CUdeviceptr source, size_t bytes, struct stream *stream) {
  ENTER(cuMemcpyAsync, destination, source, bytes, A(stream));
  IDLE();
  return queue_transfer(stream, (struct transfer){.destination = destination, .source = source, .bytes = bytes}, run_copy);
}

#define SET(function, type, width_)                                                                              \
  EXPORT CUresult function(CUdeviceptr destination, type value, size_t count, struct stream *stream) {           \
    ENTER(function, destination, A(value), count, A(stream));                                                    \
    IDLE();                                                                                                      \
    return queue_transfer(stream, (struct transfer){.destination = destination, .bytes = count * width_, .rows = 1, \
                                                    .width = width_, .value = value}, run_set);                  \
  }
SET(cuMemsetD8Async, unsigned char, 1)
SET(cuMemsetD16Async, unsigned short, 2)
SET(cuMemsetD32Async, unsigned int, 4)

EXPORT CUresult cuMemsetD2D32Async(CUdeviceptr destination, size_t pitch, unsigned value, size_t width, size_t height,
                                   struct stream *stream) {
  ENTER(cuMemsetD2D32Async, destination, pitch, value, width, height, A(stream));
  REQUIRE(pitch >= width * 4, CUDA_ERROR_INVALID_VALUE);
  return queue_transfer(stream, (struct transfer){.destination = destination, .bytes = width * 4, .pitch = pitch,
                                                  .rows = height, .width = 4, .value = value}, run_set);
}
