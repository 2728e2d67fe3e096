/* SPDX-License-Identifier: MIT */
#include "recorder.h"

#include <stdlib.h>
#include <string.h>

void list_init(struct list *list)
{
	*list = (struct list){ .end = &list->first };
}

void list_append(struct list *list, struct item *item)
{
	item->next = NULL;
	*list->end = item;
	list->end = &item->next;
	list->count++;
	list->bytes += item->frame.size_bytes;
}

struct item *list_take(struct list *list)
{
	struct item *item = list->first;

	if (item == NULL)
		return NULL;
	list->first = item->next;
	if (list->first == NULL)
		list->end = &list->first;
	list->count--;
	list->bytes -= item->frame.size_bytes;
	return item;
}

void list_return(struct list *list, struct item *item)
{
	item->next = list->first;
	if (item->next == NULL)
		list->end = &item->next;
	list->first = item;
	list->count++;
	list->bytes += item->frame.size_bytes;
}

/* The bytes begin on a page, as in a slot; the metadata stands behind them. */
static int copy(struct item *item)
{
	const uint64_t data_bytes = matroska_pages(item->frame.size_bytes);
	uint8_t *bytes = aligned_alloc(MATROSKA_PAGE, matroska_pages(data_bytes + item->frame.meta_bytes + 1));

	if (bytes == NULL)
		return -1;
	memcpy(bytes, item->frame.data, item->frame.size_bytes);
	if (item->frame.meta_bytes > 0)
		memcpy(bytes + data_bytes, item->frame.meta, item->frame.meta_bytes);
	item->frame.data = bytes;
	item->frame.meta = bytes + data_bytes;
	item->copied = true;
	return 0;
}

struct item *item_new_back(struct recorder *recorder, const struct weir_frame *frame, bool copied)
{
	struct item *item = calloc(1, sizeof(*item));

	if (item == NULL)
		return NULL;
	item->frame = *frame;
	item->arrived_ns = recorder_now_ns();
	if (copied ? copy(item) < 0 : weir_back_keep(recorder->back, 0, frame) < 0) {
		free(item);
		return NULL;
	}
	recorder->kept += !copied;
	return item;
}

void item_free_back(struct recorder *recorder, struct item *item)
{
	if (item->copied) {
		free((void *)(uintptr_t)item->frame.data);
	} else {
		weir_back_release(recorder->back, 0, &item->frame);
		recorder->kept--;
	}
	free(item);
}

bool item_is_key(const struct recorder *recorder, const struct item *item)
{
	return recorder->codec.intra || (item->frame.flags & WEIR_FRAME_KEY) != 0;
}

static const struct item *next_key(const struct recorder *recorder)
{
	const struct item *item = recorder->memory.first;

	do
		item = item->next;
	while (item != NULL && !item_is_key(recorder, item));
	return item;
}

void memory_trim_back(struct recorder *recorder)
{
	const int64_t oldest_ns = recorder_now_ns() - recorder->options.before_ns;
	struct list *memory = &recorder->memory;

	while (memory->first != NULL) {
		const struct item *key = next_key(recorder);
		const bool too_much = memory->bytes > recorder->options.memory_bytes;

		if (!too_much && (key == NULL || key->arrived_ns > oldest_ns))
			return;
		do
			item_free_back(recorder, list_take(memory));
		while (memory->first != key && memory->first != NULL);
	}
}
