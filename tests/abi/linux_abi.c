/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our numbers of PCI and vfio-user against the kernel's headers.  Nothing here
 * runs: a difference does not compile.
 */
#include <assert.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stddef.h>
#if __has_include(<linux/iommufd.h>)
#include <linux/iommufd.h>
#endif

#include "ebs-nvme/abi.h"
#include "host-driver/bus.h"
#include "host-driver/bus_private.h"
#include "host-driver/vfio_abi.h"
#include "pcie-model/function.h"
#include "pcie-model/vfio-user/abi.h"

#define SAME(ours, theirs) static_assert((ours) == (theirs), #ours)
/* Ours is the beginning of theirs. */
#define SAME_FIELD(ours, theirs, member)                                       \
	SAME(offsetof(struct ours, member), offsetof(struct theirs, member))

SAME(PCIE_INTX, (int)VFIO_PCI_INTX_IRQ_INDEX);
SAME(PCIE_MSI, (int)VFIO_PCI_MSI_IRQ_INDEX);
SAME(PCIE_MSIX, (int)VFIO_PCI_MSIX_IRQ_INDEX);
SAME(PCIE_ERR, (int)VFIO_PCI_ERR_IRQ_INDEX);
SAME(PCIE_REQ, (int)VFIO_PCI_REQ_IRQ_INDEX);
SAME(PCIE_INTERRUPT_INDEXES, VFIO_PCI_NUM_IRQS);
SAME(VFIO_USER_IRQS, VFIO_PCI_NUM_IRQS);
SAME(VFIO_USER_REGIONS, VFIO_PCI_NUM_REGIONS);
SAME(PCIE_CONFIG_REGION, VFIO_PCI_CONFIG_REGION_INDEX);
SAME(HOST_CONFIG, VFIO_PCI_CONFIG_REGION_INDEX);
SAME(PCIE_BARS, VFIO_PCI_BAR5_REGION_INDEX - VFIO_PCI_BAR0_REGION_INDEX + 1);
SAME(PCIE_BARS, PCI_STD_NUM_BARS);

SAME(PCIE_DMA_READABLE, VFIO_DMA_MAP_FLAG_READ);
SAME(PCIE_DMA_WRITEABLE, VFIO_DMA_MAP_FLAG_WRITE);

SAME(PCIE_CONFIG_BYTES, PCI_CFG_SPACE_EXP_SIZE);
SAME(PCIE_MSIX_ENTRY_BYTES, PCI_MSIX_ENTRY_SIZE);
static_assert(PCIE_MSIX_MAX_VECTORS <= PCI_MSIX_FLAGS_QSIZE + 1, "MSI-X");
/* PCI 3.0, 6.8.1.3: 101b is the largest encoding that is not reserved. */
SAME(PCIE_MSI_MAX_VECTORS, 1u << 5);

SAME_FIELD(vfio_user_device_info, vfio_device_info, argsz);
SAME_FIELD(vfio_user_device_info, vfio_device_info, flags);
SAME_FIELD(vfio_user_device_info, vfio_device_info, num_regions);
SAME_FIELD(vfio_user_device_info, vfio_device_info, num_irqs);
SAME_FIELD(vfio_user_dma_unmap, vfio_iommu_type1_dma_unmap, argsz);
SAME_FIELD(vfio_user_dma_unmap, vfio_iommu_type1_dma_unmap, flags);
SAME(offsetof(struct vfio_user_dma_unmap, address),
     offsetof(struct vfio_iommu_type1_dma_unmap, iova));
SAME_FIELD(vfio_user_dma_unmap, vfio_iommu_type1_dma_unmap, size);

SAME(HOST_REGIONS, VFIO_PCI_NUM_REGIONS);

/* Linux 6.6 and later have these, and Debian 12's headers have not. */
#ifdef VFIO_DEVICE_BIND_IOMMUFD
SAME(HOST_VFIO_BIND_IOMMUFD, VFIO_DEVICE_BIND_IOMMUFD);
SAME(offsetof(struct host_vfio_bind_iommufd, out_device_id),
     offsetof(struct vfio_device_bind_iommufd, out_devid));
SAME(HOST_VFIO_ATTACH_IOMMUFD_PT, VFIO_DEVICE_ATTACH_IOMMUFD_PT);
SAME(offsetof(struct host_vfio_attach_iommufd_pt, page_table_id),
     offsetof(struct vfio_device_attach_iommufd_pt, pt_id));
#endif
#ifdef IOMMU_IOAS_MAP
SAME(HOST_IOMMU_IOAS_ALLOC, IOMMU_IOAS_ALLOC);
SAME(sizeof(struct host_iommu_ioas_alloc), sizeof(struct iommu_ioas_alloc));
SAME_FIELD(host_iommu_ioas_alloc, iommu_ioas_alloc, out_ioas_id);
SAME(HOST_IOMMU_IOAS_MAP, IOMMU_IOAS_MAP);
SAME(sizeof(struct host_iommu_ioas_map), sizeof(struct iommu_ioas_map));
SAME_FIELD(host_iommu_ioas_map, iommu_ioas_map, user_va);
SAME_FIELD(host_iommu_ioas_map, iommu_ioas_map, length);
SAME_FIELD(host_iommu_ioas_map, iommu_ioas_map, iova);
SAME(HOST_IOMMU_MAP_FIXED_IOVA, (int)IOMMU_IOAS_MAP_FIXED_IOVA);
SAME(HOST_IOMMU_MAP_WRITEABLE, (int)IOMMU_IOAS_MAP_WRITEABLE);
SAME(HOST_IOMMU_MAP_READABLE, (int)IOMMU_IOAS_MAP_READABLE);
SAME(HOST_IOMMU_IOAS_UNMAP, IOMMU_IOAS_UNMAP);
SAME(sizeof(struct host_iommu_ioas_unmap), sizeof(struct iommu_ioas_unmap));
SAME_FIELD(host_iommu_ioas_unmap, iommu_ioas_unmap, iova);
#endif
