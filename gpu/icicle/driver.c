//go:build icicle

#include "driver.h"

#include <dlfcn.h>
#include <string.h>

// The driver's interface, as it has been since CUDA 9.2.
typedef int (*init_fn)(unsigned);
typedef int (*int_fn)(int*);
typedef int (*get_fn)(int* device, int ordinal);
typedef int (*name_fn)(char*, int, int device);
typedef int (*uuid_fn)(void*, int device);
typedef int (*attribute_fn)(int*, int attribute, int device);
typedef int (*memory_fn)(size_t*, int device);

static void* driver(void)
{
  return dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
}

int gm_cards(void)
{
  void* lib = driver();
  if (!lib) return gm_no_driver;
  init_fn init = (init_fn)dlsym(lib, "cuInit");
  int_fn count = (int_fn)dlsym(lib, "cuDeviceGetCount");
  if (!init || !count) return gm_old_driver;
  int err = init(0);
  int n = 0;
  if (!err) err = count(&n);
  return err ? -1000 - err : n;
}

int gm_card_at(int index, gm_card* card)
{
  memset(card, 0, sizeof *card);
  void* lib = driver();
  if (!lib) return gm_no_driver;
  get_fn get = (get_fn)dlsym(lib, "cuDeviceGet");
  name_fn name = (name_fn)dlsym(lib, "cuDeviceGetName");
  uuid_fn uuid = (uuid_fn)dlsym(lib, "cuDeviceGetUuid");
  attribute_fn attribute = (attribute_fn)dlsym(lib, "cuDeviceGetAttribute");
  memory_fn memory = (memory_fn)dlsym(lib, "cuDeviceTotalMem_v2");
  int_fn version = (int_fn)dlsym(lib, "cuDriverGetVersion");
  if (!get || !name || !uuid || !attribute || !memory || !version) return gm_old_driver;
  int device = 0;
  int err = get(&device, index);
  if (!err) err = name(card->name, sizeof card->name, device);
  if (!err) err = uuid(card->uuid, device);
  if (!err) err = attribute(&card->major, 75, device);
  if (!err) err = attribute(&card->minor, 76, device);
  if (!err) err = memory(&card->memory, device);
  if (!err) err = version(&card->version);
  return err;
}
