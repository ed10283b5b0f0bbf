#!/bin/bash
# Trains with Cryoscope under Slurm: one GPU, several GPUs of one node, or several nodes.
#
#   sbatch slurm.sh particles.star --structure model.pdb --out run-001
#   sbatch --gres=gpu:4 slurm.sh particles.star --preset cryoscope-volume --out run-002
#   sbatch --nodes=2 --gres=gpu:4 slurm.sh particles.star --out run-003 --preset cryoscope-volume
#   sbatch slurm.sh particles.star --structure model.pdb --out run-001 --resume
#
# Everything after slurm.sh is what `cryoscope train` takes. Lines to look at on your cluster are
# marked <--. The page beside this file (README.md) explains them.
#SBATCH --job-name=cryoscope
#SBATCH --output=cryoscope-%j.log
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
##SBATCH --partition=gpu
# <-- the partition of your cluster: remove one # of the line above

set -euo pipefail

# <-- how Cryoscope is found: a module, a conda environment, a virtual environment, ...
#     module load cryoscope    |    source ~/cryoscope/bin/activate
# In a container, set for instance: CRYOSCOPE_PYTHON="apptainer exec --nv cryoscope.sif python"
python=${CRYOSCOPE_PYTHON:-python}

# Processes per node: one per GPU; without GPUs one per node, which uses all cores of the task.
gpus=${SLURM_GPUS_ON_NODE:-0}
per_node=$(( gpus > 0 ? gpus : 1 ))
nodes=${SLURM_JOB_NUM_NODES:-1}

# Compiled kernels are kept per user, where every node can read and write them.
export NUMBA_CACHE_DIR=${NUMBA_CACHE_DIR:-$HOME/.cache/cryoscope-numba}

if (( nodes * per_node == 1 )); then
    exec srun $python -m cryoscope train "$@"
fi

# The first node is where the processes meet; the port is the job's own.
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$(( 20000 + SLURM_JOB_ID % 20000 ))

# <-- where the nodes have several networks, name the fast one:
# export NCCL_SOCKET_IFNAME=ib0 GLOO_SOCKET_IFNAME=ib0

exec srun --kill-on-bad-exit=1 $python -m torch.distributed.run \
    --nnodes="$nodes" \
    --nproc-per-node="$per_node" \
    --rdzv-id="$SLURM_JOB_ID" \
    --rdzv-backend=c10d \
    --rdzv-endpoint="$first:$port" \
    -m cryoscope train "$@"
