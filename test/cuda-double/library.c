/* Images, kernels and launches. */
#include "double.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shared memory of a block, static and dynamic together: by default, and at most after setting the attribute. */
#define DEFAULT_SHARED 49152
#define MAX_SHARED 232448

struct library;

struct kernel {
  enum kind kind;
  struct library *library;
  struct kernel *next;
  char name[128];
  int parameter_count;
  unsigned short sizes[MAX_PARAMETERS];
  /* Where each value begins in a launch, and where the last one ends, in words of 8 bytes. */
  unsigned short words[MAX_PARAMETERS + 1];
  bool pointers[MAX_PARAMETERS];
  const struct kernel_entry *entry;
  struct function *function;
};

/* A kernel in one context. Until it has been loaded there, its first launch would have to load it. */
struct function {
  enum kind kind;
  struct kernel *kernel;
  struct context *context;
  bool loaded;
  int dynamic_shared;
};

/* A global array. It exists from the first time that its address is asked for. */
struct global {
  struct global *next;
  char name[128];
  size_t bytes;
  uint64_t address;
};

struct library {
  enum kind kind;
  struct kernel *kernels;
  struct global *globals;
  /* PTX is translated, and its errors are reported, when a kernel is looked up. */
  bool ptx, wrong;
  int option_count;
  const int *options;
  void *const *values;
};

/* CUDA_MODULE_LOADING=EAGER. */
static _Atomic bool eager;
EXPORT void double_set_eager(int is_eager) { eager = is_eager; }

EXPORT CUresult cuModuleGetLoadingMode(int *mode) {
  ENTER(cuModuleGetLoadingMode, 0);
  *mode = eager ? 1 : 2;
  return CUDA_SUCCESS;
}

static _Atomic long launches_that_load;
/* The number of launches whose kernel was not loaded yet. */
EXPORT double double_launches_that_load(void) { return launches_that_load; }

static void add_kernel(struct library *library, const char *name, const char *parameters) {
  struct kernel *kernel = calloc(1, sizeof *kernel);
  kernel->kind = KERNEL;
  kernel->library = library;
  snprintf(kernel->name, sizeof kernel->name, "%s", name);
  kernel->entry = double_find_kernel(name);
  char letter;
  int size, length;
  while (sscanf(parameters, " %c%d%n", &letter, &size, &length) == 2) {
    kernel->pointers[kernel->parameter_count] = letter == 'p';
    kernel->sizes[kernel->parameter_count] = (unsigned short)size;
    int next = kernel->words[kernel->parameter_count++] + (size + 7) / 8;
    kernel->words[kernel->parameter_count] = (unsigned short)next;
    parameters += length;
  }
  kernel->next = library->kernels;
  library->kernels = kernel;
}

static void read_image(struct library *library, const char *image) {
  char name[128];
  for (const char *line = strchr(image, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
    int length = 0;
    if (sscanf(line + 1, ".entry %127s%n", name, &length) == 1) add_kernel(library, name, line + 1 + length);
  }
}

/* Reads the global arrays of bytes: .global .align 8 .b8 NAME[BYTES]; */
static void read_globals(struct library *library, const char *image) {
  for (const char *line = image; line; line = strchr(line, '\n')) {
    line += strspn(line, " \n");
    char space[16], name[128];
    size_t bytes;
    if (sscanf(line, ".%15s .align %*d .b8 %127[^[ ][%zu];", space, name, &bytes) != 3) continue;
    struct global *global = calloc(1, sizeof *global);
    snprintf(global->name, sizeof global->name, "%s", name);
    global->bytes = bytes;
    global->next = library->globals;
    library->globals = global;
  }
}

static struct global *find_global(struct library *library, const char *name) {
  for (struct global *global = library->globals; global; global = global->next) {
    if (strcmp(global->name, name) != 0) continue;
    if (global->address == 0) global->address = double_hold_memory(global->bytes);
    return global;
  }
  return NULL;
}

void *double_global(struct library *library, const char *name) {
  struct global *global = find_global(library, name);
  return global ? (void *)global->address : NULL;
}

EXPORT CUresult cuLibraryGetGlobal(CUdeviceptr *out, size_t *bytes, struct library *library, const char *name) {
  ENTER(cuLibraryGetGlobal, A(library));
  NEED_CURRENT(context);
  REQUIRE(library && library->kind == LIBRARY, CUDA_ERROR_INVALID_HANDLE);
  if (!eager) double_await_device(context);
  struct global *global = find_global(library, name);
  REQUIRE(global, CUDA_ERROR_NOT_FOUND);
  *out = global->address;
  *bytes = global->bytes;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuLibraryGetKernelCount(unsigned *count, struct library *library) {
  ENTER(cuLibraryGetKernelCount, A(library));
  *count = 0;
  for (struct kernel *kernel = library->kernels; kernel; kernel = kernel->next) ++*count;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuLibraryEnumerateKernels(struct kernel **out, unsigned count, struct library *library) {
  ENTER(cuLibraryEnumerateKernels, A(library));
  struct kernel *kernel = library->kernels;
  for (unsigned i = 0; i < count && kernel; i++, kernel = kernel->next) out[i] = kernel;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuKernelGetName(const char **name, struct kernel *kernel) {
  ENTER(cuKernelGetName, A(kernel));
  *name = kernel->name;
  return CUDA_SUCCESS;
}

/* Reads from PTX the entries' names and the sizes of their parameters. */
static void read_ptx(struct library *library, const char *ptx) {
  for (const char *entry = strstr(ptx, ".entry "); entry; entry = strstr(entry + 1, ".entry ")) {
    char name[128], parameters[8192] = "";
    if (sscanf(entry, ".entry %127[^( \n]", name) != 1) continue;
    const char *end = strchr(entry, ')');
    for (const char *at = strstr(entry, ".param ."); at && at < end; at = strstr(at + 1, ".param .")) {
      int bits = 32, bytes = 0;
      /* A struct is an array of bytes: .param .align 8 .b8 name[24] */
      if (sscanf(at, ".param .align %*d .b8 %*[^[][%d]", &bytes) != 1) {
        sscanf(at, ".param .%*[a-z]%d", &bits);
        bytes = bits / 8;
      }
      snprintf(parameters + strlen(parameters), sizeof parameters - strlen(parameters), " s%d", bytes);
    }
    add_kernel(library, name, parameters);
  }
}

/* JIT options 5 and 6 are the error log and its size. */
static void write_log(int count, const int *options, void *const *values, const char *text) {
  char *log = NULL;
  size_t size = 0;
  for (int i = 0; i < count; i++) {
    if (options[i] == 5) log = values[i];
    if (options[i] == 6) size = (size_t)(uintptr_t)values[i];
  }
  if (log && size) snprintf(log, size, "%s", text);
}

EXPORT CUresult cuLibraryLoadData(struct library **out, const char *code, const int *options, void *const *values,
                                  unsigned option_count, void *library_options, void *library_values, unsigned count) {
  ENTER(cuLibraryLoadData, 0);
  /* A fatbin is a header of 16 bytes, then one of 64, then the image. */
  if (*(const unsigned *)code == 0xba55ed50) code += 16 + 64;
  bool image = strncmp(code, IMAGE_HEADER, strlen(IMAGE_HEADER)) == 0;
  if (!image && !strstr(code, ".version")) return CUDA_ERROR_INVALID_IMAGE;
  struct library *library = calloc(1, sizeof *library);
  library->kind = LIBRARY;
  library->ptx = !image;
  library->wrong = !image && strstr(code, "wrong");
  library->option_count = (int)option_count;
  library->options = options;
  library->values = values;
  if (image) read_image(library, code);
  else read_ptx(library, code);
  read_globals(library, code);
  double_live.libraries++;
  *out = library;
  if (eager) double_await_devices();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuLibraryUnload(struct library *library) {
  ENTER(cuLibraryUnload, A(library));
  NOT_BESIDE_CAPTURES();
  REQUIRE(library && library->kind == LIBRARY, CUDA_ERROR_INVALID_HANDLE);
  for (struct kernel *kernel = library->kernels; kernel; kernel = kernel->next) {
    if (kernel->function) double_await_device(kernel->function->context);
  }
  while (library->kernels) {
    struct kernel *kernel = library->kernels;
    library->kernels = kernel->next;
    if (kernel->function) double_bury(kernel->function);
    double_bury(kernel);
  }
  while (library->globals) {
    struct global *global = library->globals;
    library->globals = global->next;
    if (global->address) double_end_memory(global->address);
    free(global);
  }
  double_bury(library);
  double_live.libraries--;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuLibraryGetKernel(struct kernel **out, struct library *library, const char *name) {
  ENTER(cuLibraryGetKernel, A(library));
  REQUIRE(library && library->kind == LIBRARY, CUDA_ERROR_INVALID_HANDLE);
  if (library->ptx) double_compile_pause();
  if (library->wrong) {
    write_log(library->option_count, library->options, library->values,
              "ptxas application ptx input, line 3; fatal: Parsing error near 'wrong'");
    return CUDA_ERROR_INVALID_PTX;
  }
  for (struct kernel *kernel = library->kernels; kernel; kernel = kernel->next) {
    if (strcmp(kernel->name, name) != 0) continue;
    if (!kernel->entry) fprintf(stderr, "cuda-double: kernels.c has no kernel named %s\n", name);
    REQUIRE(kernel->entry, CUDA_ERROR_NOT_FOUND);
    *out = kernel;
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_NOT_FOUND;
}

#define NEED_KERNEL(kernel) REQUIRE((kernel) && (kernel)->kind == KERNEL, CUDA_ERROR_INVALID_HANDLE)
#define NEED_FUNCTION(function) REQUIRE((function) && (function)->kind == FUNCTION, CUDA_ERROR_INVALID_HANDLE)

EXPORT CUresult cuKernelGetFunction(struct function **out, struct kernel *kernel) {
  ENTER(cuKernelGetFunction, A(kernel));
  NEED_CURRENT(context);
  NEED_KERNEL(kernel);
  if (!kernel->function) {
    if (!eager) double_await_device(context);
    kernel->function = calloc(1, sizeof *kernel->function);
    *kernel->function = (struct function){FUNCTION, kernel, context, false, DEFAULT_SHARED - kernel->entry->static_shared};
  }
  *out = kernel->function;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuKernelGetAttribute(int *value, int attribute, struct kernel *kernel, CUdevice device) {
  ENTER(cuKernelGetAttribute, A(attribute), A(kernel), A(device));
  NEED_KERNEL(kernel);
  REQUIRE(kernel->entry, CUDA_ERROR_NOT_FOUND);
  *value = attribute == 1 ? kernel->entry->static_shared : attribute == 3 ? kernel->entry->local : 0;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuKernelGetParamInfo(struct kernel *kernel, size_t index, size_t *offset, size_t *size) {
  ENTER(cuKernelGetParamInfo, A(kernel), index);
  NEED_CURRENT(context); /* Seen on an H200, although a kernel belongs to no context. */
  (void)context;
  NEED_KERNEL(kernel);
  REQUIRE(index < (size_t)kernel->parameter_count, CUDA_ERROR_INVALID_VALUE);
  *offset = 8 * (size_t)kernel->words[index];
  *size = kernel->sizes[index];
  return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncLoad(struct function *function) {
  ENTER(cuFuncLoad, A(function));
  NEED_FUNCTION(function);
  HEALTHY(function->context);
  function->loaded = true;
  return CUDA_SUCCESS;
}

/* A block has no more registers than a multiprocessor. */
static int max_threads(const struct kernel_entry *entry) {
  return entry->registers > 64 ? 65536 / entry->registers / 32 * 32 : 1024;
}

static int registers_of(const struct kernel_entry *entry) { return entry->registers ? entry->registers : 16; }

/* CU_FUNC_ATTRIBUTE: the threads, shared bytes, constant bytes, local bytes and registers are 0 to 4. */
EXPORT CUresult cuFuncGetAttribute(int *value, int attribute, struct function *function) {
  ENTER(cuFuncGetAttribute, A(attribute), A(function));
  NEED_CURRENT(context);
  (void)context;
  NEED_FUNCTION(function);
  REQUIRE(attribute >= 0 && attribute <= 4, CUDA_ERROR_INVALID_VALUE);
  const struct kernel_entry *entry = function->kernel->entry;
  *value = (int[]){max_threads(entry), entry->static_shared, 0, entry->local, registers_of(entry)}[attribute];
  return CUDA_SUCCESS;
}

#define REGISTERS 65536
#define SHARED_PER_MULTIPROCESSOR 233472
#define RESERVED_SHARED 1024

static int least(int a, int b) { return a < b ? a : b; }

/*
 * The threads, blocks, registers and shared memory of an H200's multiprocessor, without the rounding of a real one. As there,
 * a block that is too large for the kernel's launch bounds is not noticed.
 */
static int occupancy(const struct function *function, int threads, int shared) {
  const struct kernel_entry *entry = function->kernel->entry;
  if (shared > function->dynamic_shared) return 0;
  int warps = (threads + 31) / 32;
  int blocks = least(32, 64 / warps);
  blocks = least(blocks, REGISTERS / (registers_of(entry) * warps * 32));
  return least(blocks, SHARED_PER_MULTIPROCESSOR / (shared + entry->static_shared + RESERVED_SHARED));
}

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, struct function *function, int threads, size_t shared) {
  ENTER(cuOccupancyMaxActiveBlocksPerMultiprocessor, A(function), A(threads), shared);
  NEED_CURRENT(context);
  (void)context;
  NEED_FUNCTION(function);
  REQUIRE(threads > 0, CUDA_ERROR_INVALID_VALUE);
  *blocks = occupancy(function, threads, (int)shared);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuOccupancyMaxPotentialBlockSize(int *grid, int *block, struct function *function, void *by_size, size_t shared,
                                                 int limit) {
  ENTER(cuOccupancyMaxPotentialBlockSize, A(function), shared, A(limit));
  NEED_CURRENT(context);
  (void)context;
  NEED_FUNCTION(function);
  REQUIRE(!by_size, CUDA_ERROR_INVALID_VALUE);
  int most = max_threads(function->kernel->entry), best = 0;
  if (limit > 0) most = least(most, limit);
  *block = *grid = 0;
  for (int threads = most; threads > 0; threads -= threads % 32 ? threads % 32 : 32) {
    int blocks = occupancy(function, threads, (int)shared);
    if (blocks * threads <= best) continue;
    best = blocks * threads;
    *block = threads;
    *grid = blocks * 132;
  }
  return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncSetAttribute(struct function *function, int attribute, int value) {
  ENTER(cuFuncSetAttribute, A(function), A(attribute), A(value));
  NEED_FUNCTION(function);
  HEALTHY(function->context);
  if (attribute != 8) return CUDA_SUCCESS;
  REQUIRE(value <= MAX_SHARED - function->kernel->entry->static_shared, CUDA_ERROR_INVALID_VALUE);
  function->dynamic_shared = value;
  return CUDA_SUCCESS;
}

struct launch_command {
  struct command command;
  struct launch launch;
  struct kernel *kernel;
  struct function *function;
  void *arguments[MAX_PARAMETERS];
  uint64_t values[];
};

static void run_launch(struct command *command) {
  struct launch_command *own = (struct launch_command *)command;
  if (command->context->broken) return;
  own->launch.context = command->context;
  for (int i = 0; i < own->kernel->parameter_count; i++) {
    uint64_t *value = own->arguments[i] = &own->values[own->kernel->words[i]];
    if (!own->kernel->pointers[i] || *value == 0 || double_reachable(*value, 1)) continue;
    double_break(CUDA_ERROR_ILLEGAL_ADDRESS);
    return;
  }
  own->kernel->entry->body(&own->launch, own->arguments);
}

static void set_arguments(struct launch_command *command, void *const *parameters) {
  const struct kernel *kernel = command->kernel;
  for (int i = 0; i < kernel->parameter_count; i++) {
    memcpy(&command->values[kernel->words[i]], parameters[i], kernel->sizes[i]);
  }
}

const char *double_kernel_name(const void *kernel) { return ((const struct kernel *)kernel)->entry->name; }

CUresult double_launch_get(struct command *command, struct kernel_node *out) {
  REQUIRE(command->run == run_launch, CUDA_ERROR_INVALID_VALUE);
  struct launch_command *own = (struct launch_command *)command;
  for (int i = 0; i < own->kernel->parameter_count; i++) own->arguments[i] = &own->values[own->kernel->words[i]];
  *out = (struct kernel_node){.function = own->function, .shared_memory = own->launch.shared_memory, .parameters = own->arguments};
  memcpy(out->grid, own->launch.grid, sizeof out->grid);
  memcpy(out->block, own->launch.block, sizeof out->block);
  return CUDA_SUCCESS;
}

CUresult double_launch_set(struct command *command, const struct kernel_node *parameters) {
  REQUIRE(command->run == run_launch, CUDA_ERROR_INVALID_VALUE);
  struct launch_command *own = (struct launch_command *)command;
  REQUIRE(parameters->function == own->function && !parameters->extra, CUDA_ERROR_INVALID_VALUE);
  for (int i = 0; i < 3; i++) {
    REQUIRE(parameters->grid[i] == own->launch.grid[i] && parameters->block[i] == own->launch.block[i], CUDA_ERROR_INVALID_VALUE);
  }
  set_arguments(own, parameters->parameters);
  return CUDA_SUCCESS;
}

static CUresult queue_launch(struct function *function, struct launch launch, struct stream *stream, void *const *parameters) {
  NEED_FUNCTION(function);
  REQUIRE(double_is_stream(stream), CUDA_ERROR_INVALID_HANDLE);
  REQUIRE(double_stream_context(stream) == function->context, CUDA_ERROR_INVALID_HANDLE);
  NEED_OWN(function->context);
  REQUIRE((int)launch.shared_memory <= function->dynamic_shared, CUDA_ERROR_INVALID_VALUE);
  for (int i = 0; i < 3; i++) REQUIRE(launch.grid[i] > 0 && launch.block[i] > 0, CUDA_ERROR_INVALID_VALUE);
  REQUIRE(launch.block[0] * launch.block[1] * launch.block[2] <= 1024, CUDA_ERROR_INVALID_VALUE);
  if (!function->loaded) launches_that_load++;
  struct kernel *kernel = function->kernel;
  if (kernel->entry->local > function->context->local) {
    double_await_device(function->context);
    function->context->local = kernel->entry->local;
  }
  size_t size = sizeof(struct launch_command) + kernel->words[kernel->parameter_count] * sizeof(uint64_t);
  struct launch_command *command = calloc(1, size);
  command->command.run = run_launch;
  command->command.size = size;
  command->command.kernel = kernel;
  command->launch = launch;
  command->launch.library = kernel->library;
  command->kernel = kernel;
  command->function = function;
  set_arguments(command, parameters);
  return double_submit(stream, &command->command);
}

EXPORT CUresult cuLaunchKernel(struct function *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                               unsigned block_y, unsigned block_z, unsigned shared_memory, struct stream *stream,
                               void *const *parameters, void **extra) {
  ENTER(cuLaunchKernel, A(function), A(stream));
  IDLE();
  struct launch launch = {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_memory, NULL, NULL};
  return queue_launch(function, launch, stream, parameters);
}

struct launch_attribute {
  int id, padding;
  unsigned value[16];
};

struct launch_config {
  unsigned grid[3], block[3], shared_memory;
  struct stream *stream;
  const struct launch_attribute *attributes;
  unsigned attribute_count;
};

static struct launch_attribute last_attributes[4];
static int last_attribute_count;
/* Of the last cuLaunchKernelEx: how many attributes; the nth one's id (word -1) and value (words 0 to 2). */
EXPORT int double_launch_attributes(void) { return last_attribute_count; }
EXPORT int double_launch_attribute(int n, int word) {
  return word < 0 ? last_attributes[n].id : (int)last_attributes[n].value[word];
}

EXPORT CUresult cuLaunchKernelEx(const struct launch_config *config, struct function *function, void *const *parameters,
                                 void **extra) {
  ENTER(cuLaunchKernelEx, A(function), A(config->stream));
  IDLE();
  last_attribute_count = (int)config->attribute_count;
  for (unsigned i = 0; i < config->attribute_count && i < 4; i++) last_attributes[i] = config->attributes[i];
  struct launch launch = {.shared_memory = config->shared_memory};
  memcpy(launch.grid, config->grid, sizeof launch.grid);
  memcpy(launch.block, config->block, sizeof launch.block);
  return queue_launch(function, launch, config->stream, parameters);
}
