/* SPDX-License-Identifier: MIT */
/* reading_test.h - what the tests of the readers have in common. */
#ifndef HG_TESTS_READING_TEST_H
#define HG_TESTS_READING_TEST_H

#include "../suite.h"
#include "analyze/gather.h"
#include "base/base.h"
#include "base/slice.h"
#include "ledger/reader.h"
#include "ledger_maker.h"

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALL_PARTS                                                                  \
    (LEDGER_PART_ACCOUNTS | LEDGER_PART_TIMELINE | LEDGER_PART_COLLECTOR)

/* The copy of what the maker has made, by way of a file. */
static inline struct ledger_copy *copy_of(struct ledger_maker *maker)
{
    struct ledger_copy *copy = NULL;
    struct ledger_fault fault = {0, ""};
    maker_write(maker, "copy_of.hg");
    hg_status status = ledger_copy_read("copy_of.hg", ALL_PARTS, &copy, &fault);
    ck_assert_msg(status == HG_OK, "%s", fault.what);
    unlink("copy_of.hg");
    return copy;
}

#endif
