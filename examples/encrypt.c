/* SPDX-License-Identifier: MIT */
/* The worker of encrypt-tree: reads the key once, then encrypts one file for each job. */
#include "encrypt.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#define KEY_BYTES   32
#define IV_BYTES    16
#define CHUNK_BYTES 65536

struct encrypt_back {
	unsigned char key[KEY_BYTES];
	EVP_CIPHER_CTX *cipher;
};

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	struct encrypt_back *own = state;
	FILE *file = fopen(args, "re");
	size_t got;
	int more;

	if (file == NULL)
		return -errno;
	setvbuf(file, NULL, _IONBF, 0); /* or a copy of the key would stay in the buffer */
	got = fread(own->key, 1, KEY_BYTES, file);
	more = fgetc(file);
	fclose(file);
	if (got != KEY_BYTES || more != EOF)
		return -EKEYREJECTED;
	own->cipher = EVP_CIPHER_CTX_new();
	return own->cipher != NULL ? 0 : -ENOMEM;
}

static int put(FILE *to, const unsigned char *bytes, size_t size)
{
	return fwrite(bytes, 1, size, to) == size ? 0 : -EIO;
}

static int encrypt_stream_back(struct encrypt_back *own, FILE *from, FILE *to)
{
	unsigned char iv[IV_BYTES], plain[CHUNK_BYTES], secret[CHUNK_BYTES + IV_BYTES];
	int size = 0, r = 0;
	size_t got;

	if (RAND_bytes(iv, IV_BYTES) != 1 ||
		EVP_EncryptInit_ex(own->cipher, EVP_aes_256_cbc(), NULL, own->key, iv) != 1)
		return -EIO;
	r = put(to, iv, IV_BYTES);
	while (r == 0 && (got = fread(plain, 1, CHUNK_BYTES, from)) > 0) {
		if (EVP_EncryptUpdate(own->cipher, secret, &size, plain, (int)got) != 1)
			return -EIO;
		r = put(to, secret, (size_t)size);
	}
	if (r == 0 && (ferror(from) != 0 || EVP_EncryptFinal_ex(own->cipher, secret, &size) != 1))
		r = -EIO;
	return r == 0 ? put(to, secret, (size_t)size) : r;
}

/* mkdir -p of what stands before the last slash. */
static void make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0777);
		*slash = '/';
	}
}

/* Under another name until it is complete: a worker may die at any time. */
static int encrypt_file_back(struct encrypt_back *own, const char *from_path, char *to_path)
{
	char part[PATH_MAX + 32];
	FILE *from = fopen(from_path, "re"), *to = NULL;
	int r = from != NULL ? 0 : -errno;

	make_folders(to_path);
	snprintf(part, sizeof(part), "%s.part-%d", to_path, getpid());
	if (r == 0 && (to = fopen(part, "we")) == NULL)
		r = -errno;
	if (r == 0)
		r = encrypt_stream_back(own, from, to);
	if (to != NULL && fclose(to) != 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(part, to_path) < 0)
		r = -errno;
	if (r < 0 && to != NULL)
		unlink(part);
	if (from != NULL)
		fclose(from);
	return r;
}

static int command_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	char paths[WEIR_MESSAGE_BYTES_MAX];
	char *to;

	if (message->type != WEIR_COMMAND_JOB)
		return -ENOSYS;
	memcpy(paths, message->data, message->size);
	to = memchr(paths, '\n', message->size);
	if (to == NULL || memchr(paths, '\0', message->size) != paths + message->size - 1)
		return -EINVAL;
	*to++ = '\0';
	return encrypt_file_back(state, paths, to);
}

static void leave_back(struct weir_back *back, void *state, int reason)
{
	struct encrypt_back *own = state;

	EVP_CIPHER_CTX_free(own->cipher);
	explicit_bzero(own->key, sizeof(own->key));
}

const struct weir_backend encrypt_backend = {
	.abi = WEIR_BACKEND_ABI,
	.name = "encrypt",
	.state_bytes = sizeof(struct encrypt_back),
	.enter = enter_back,
	.command = command_back,
	.leave = leave_back,
};
