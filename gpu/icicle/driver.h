// What ICICLE does not tell about CUDA devices, asked of NVIDIA's driver, which
// is loaded only when somebody asks.
#ifndef GRISTMILL_ICICLE_DRIVER_H
#define GRISTMILL_ICICLE_DRIVER_H

#include <stddef.h>

enum { gm_no_driver = -1, gm_old_driver = -2 };

typedef struct {
  char name[256];
  unsigned char uuid[16];
  int major, minor; // compute capability
  size_t memory;
  int version; // of CUDA that the driver knows, 1000*major + 10*minor
} gm_card;

// Number of devices, gm_no_driver, gm_old_driver, or minus a thousand minus the
// driver's error code.
int gm_cards(void);

// Describes a device; zero, or the driver's error code.
int gm_card_at(int index, gm_card* card);

#endif
